import { describe, expect, test } from "bun:test";
import type { LeafmeshError } from "../../../src/model/errors.ts";
import { parseSiteFile } from "../../../src/model/site_file.ts";

const PEER = "peers: [{ name: tokyo, key: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }]\n";

function problems(text: string): string[] {
  try {
    parseSiteFile(text, "site.yaml");
    return [];
  } catch (error) {
    return (error as LeafmeshError).problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

const withRules = (rules: readonly string[]) =>
  `site: berlin\n${PEER}tenants:\n  - tenant: acme\n    exports:\n      - name: all\n        to: [tokyo]\n        rules:\n${rules
    .map((rule) => `          - ${rule}\n`)
    .join("")}`;
const subjects = (count: number, at = 0) =>
  JSON.stringify(Array.from({ length: count }, (_, i) => `acme.s${at + i}`));

describe("parseSiteFile() bounds what would cost too much", () => {
  test("the rules of a policy, the subjects of a rule and of all rules", () => {
    const many = Array.from({ length: 257 }, (_, i) => `{ subjects: [acme.r${i}] }`);
    expect(problems(withRules(many))[0]).toContain("tenants[0].exports[0].rules");
    expect(problems(withRules([`{ subjects: ${subjects(257)} }`]))[0]).toContain("rules[0].subjects");
    const five = Array.from({ length: 5 }, (_, i) => `{ subjects: ${subjects(220, i * 220)} }`);
    expect(problems(withRules(five))).toEqual([
      "tenants[0].exports[0].rules: the rules list 1100 subjects in all, expected at most 1024",
    ]);
    expect(problems(withRules(five.slice(0, 4)))).toEqual([]);
  });

  test("a storage limit that no server can promise", () => {
    const text = "site: berlin\ntenants: [{ tenant: acme, limits: { storage: 8000TiB } }]\n";
    expect(problems(text)).toEqual(["tenants[0].limits.storage: '8000TiB' is larger than 8TiB"]);
  });

  test("the URL of a server with a password, which is not repeated", () => {
    const text = "site: berlin\nserver: { mode: external, url: 'nats://me:hunter2@host:4222' }\n";
    const found = problems(text).join("\n");
    expect(found).toContain("server.url: this is no address of a server");
    expect(found).not.toContain("hunter2");
  });
});

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

describe("parseSiteFile() says what is wrong with a limit", () => {
  const AT = "tenants[0].exports[0].rules[0].limit";
  test.each([
    ["{}", ": limits nothing: give messages or bytes"],
    ["{ messages: 5 }", ".messages: "],
    ["{ messages: fast }", ".messages: 'fast' is no rate (expected for example 500/s, 30/m)"],
    ["{ messages: 0/s }", ".messages: '0/s' is slower than 1/m"],
    ["{ messages: 59/h }", ".messages: '59/h' is slower than 1/m"],
    ["{ messages: 99999999/s }", ".messages: '99999999/s' is faster than 10000000/s"],
    ["{ bytes: 1/s/s }", ".bytes: '1/s/s' is no rate of bytes (expected for example 1MiB/s, 500KB/m)"],
    ["{ bytes: 1KiB/m }", ".bytes: '1KiB/m' is slower than 1KiB/s"],
    ["{ bytes: 2TiB/s }", ".bytes: '2TiB/s' is faster than 1TiB/s"],
    ["{ messages: 5/s, burst: 1ms }", ".burst: '1ms' is shorter than 10 ms"],
    ["{ messages: 5/s, burst: 2h }", ".burst: '2h' is longer than 3600000 ms"],
    ["{ messages: 5/s, onLimit: wait }", ".onLimit: "],
    ["{ maxSize: 0 }", ".maxSize: "],
    ["{ maxSize: 1KiB, burst: 1s }", ".burst: is for a rate: give messages or bytes beside it"],
    ["{ maxSize: 1KiB, onLimit: drop }", ".onLimit: is for a rate: give messages or bytes beside it"],
    ["{ message: 5/s }", ": limits nothing: give messages or bytes"],
  ])("%s", (limit, told) => {
    const found = problems(withRules([`{ subjects: [acme.a], limit: ${limit} }`]));
    expect(found.length).toBeGreaterThan(0);
    expect(found.join("\n")).toStartWith(`${AT}${told}`);
  });

  test("on a rule that denies, and on an export", () => {
    expect(problems(withRules(["{ subjects: [acme.a], deny: true, limit: { messages: 5/s } }"]))[0]).toBe(
      `${AT}: a rule that denies cannot also limit: nothing of the event leaves`,
    );
    const exported = (limit: string) =>
      problems(
        withRules(["{ subjects: [acme.a] }"]).replace(
          "to: [tokyo]\n",
          `to: [tokyo]\n        limit: ${limit}\n`,
        ),
      );
    expect(exported("{ perPeer: 1/s }")[0]).toContain("limit.perPeer: '1/s' is slower than 1KiB/s");
    expect(exported("{ maxSize: 1KiB }")[0]).toContain("limit");
    expect(exported("{ perPeer: 1MiB/s }")).toEqual([]);
    expect(exported("{ bytes: 1MiB/s, messages: 30/m, burst: 5s, onLimit: drop }")).toEqual([]);
  });
});

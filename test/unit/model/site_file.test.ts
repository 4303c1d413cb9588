import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import {
  locateProblems,
  parseApplyFile,
  parseLocatedSiteFile,
  parseSiteFile,
  parseTenantFile,
} from "../../../src/model/site_file.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SEED = "SUADM7XV4PWOY7FMUKKPGGT3QQMFCLOBJQR5OGBHHPYFYA2NBWWNQUHDWU";

function refused(read: () => unknown): LeafmeshError {
  try {
    read();
  } catch (thrown) {
    if (thrown instanceof LeafmeshError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

/** The problems of a site file as `line:column path: message`. */
function problems(text: string): string[] {
  const error = refused(() => parseSiteFile(text, "site.yaml"));
  expect(error.code).toBe("config_invalid");
  const lines = error.problems.map(
    ({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`,
  );
  for (const { message } of error.problems) expect(error.message).toContain(message);
  return lines;
}

describe("parseSiteFile()", () => {
  test("reads a site with its server, peers and tenants", () => {
    const site = parseSiteFile(
      `site: berlin\nserver: { listen: "127.0.0.1:4222", sync: 2m }\npeers:\n  - { name: tokyo, key: ${KEY} }\n` +
        `tenants:\n  - tenant: acme\n    exports:\n      - { name: eu, to: [tokyo], rules: [{ subjects: ["acme.>"] }] }\n`,
      "site.yaml",
    );
    expect(site.peers?.[0]).toEqual({ name: "tokyo", key: KEY });
    expect(site.tenants?.[0]?.exports?.[0]?.rules[0]?.subjects).toEqual(["acme.>"]);
  });

  test("takes JSON, a byte order mark, Windows line ends and anchors", () => {
    expect(parseSiteFile('{"site": "berlin"}', "site.json")).toEqual({ site: "berlin" });
    expect(parseSiteFile("\ufeffsite: berlin\r\npeers: []\r\n", "site.yaml").peers).toEqual([]);
    const shared =
      "site: berlin\ntenants:\n  - { tenant: a, limits: &small { storage: 1MiB } }\n  - { tenant: b, limits: *small }\n";
    expect(parseSiteFile(shared, "site.yaml").tenants?.[1]?.limits).toEqual({ storage: "1MiB" });
  });

  test.each<[string, string, string[]]>([
    [
      "an unknown key",
      "site: berlin\ntenats: []\n",
      ["2:1 tenats: unknown key 'tenats' (did you mean 'tenants'?)"],
    ],
    [
      "an unknown key that is near to none",
      "site: berlin\nx-color: red\n",
      [
        "2:1 x-color: unknown key 'x-color' (known: site, data, server, api, drain, alarms, audit, secrets, peers, tenants, forbid, sensitive)",
      ],
    ],
    [
      "a name",
      "site: Berlin\n",
      ["1:7 site: 'Berlin' must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'"],
    ],
    ["a reserved name", "site: mesh\n", ["1:7 site: 'mesh' is reserved (mesh, dlq, local, log)"]],
    ["a missing key", "peers: []\n", ["1:1 site: is missing (expected text)"]],
    ["an empty value", "site:\n", ["1:6 site: is empty, expected text"]],
    ["a wrong type", "site: berlin\npeers: 5\n", ["2:8 peers: 5 is a number, expected a list"]],
    [
      "a number where text is meant",
      "site: 5\n",
      ["1:7 site: '5' must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'"],
    ],
    [
      "a unit",
      "site: berlin\nserver: { sync: 5 parsecs }\n",
      ["2:17 server.sync: '5 parsecs' is no duration (expected for example 250ms, 30s, 2m, 1h30m, 7d)"],
    ],
    [
      "a number without its unit",
      "site: berlin\nserver:\n  linger: 60\n",
      ["3:11 server.linger: '60' is no duration (expected for example 250ms, 30s, 2m, 1h30m, 7d)"],
    ],
    [
      "a choice",
      "site: berlin\nserver: { mode: embeded }\n",
      [
        "2:17 server.mode: 'embeded' is unknown (did you mean 'embedded'?), expected 'embedded' or 'external'",
      ],
    ],
    [
      "an alternative that is misspelled",
      "site: berlin\napi: { token: { fil: x } }\n",
      ["2:17 api.token.fil: unknown key 'fil' (did you mean 'file'?)"],
    ],
    [
      "settings of another mode",
      "site: berlin\nserver: { config: x.conf }\n",
      ["2:19 server.config: 'config' goes with mode: external"],
    ],
    ["nothing", "", ["undefined:undefined : the file is empty, expected a map (`key: value` lines)"]],
    [
      "a comment alone",
      "# soon\n",
      ["undefined:undefined : the file is empty, expected a map (`key: value` lines)"],
    ],
    ["a list", "- berlin\n", ["1:1 : the document is a list, expected a map (`key: value` lines)"]],
    ["a word", "berlin\n", ["1:1 : the document is a single value, expected a map (`key: value` lines)"]],
    ["a tab", "site: berlin\nserver:\n\tsync: 2m\n", ["3:1 : a tab indents this line: use spaces"]],
    ["a key that stands twice", "site: berlin\nsite: tokyo\n", ["2:1 : key site appears twice in its map"]],
    ["an alias without anchor", "site: *name\n", ["1:7 : alias '*name' has no anchor before it"]],
    [
      "an alias inside its anchor",
      "site: berlin\npeers: &p [*p]\n",
      ["2:12 : alias '*p' stands inside what it repeats"],
    ],
    [
      "a second document",
      "site: berlin\n---\nsite: tokyo\n",
      ["3:1 : a second document starts here ('---'), expected one in this file"],
    ],
    ["a tag", "site: !env SITE\n", ["1:7 : this is no YAML: Unresolved tag: !env"]],
  ])("refuses %s", (_, text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  test.each([
    ["{ first: x }", "keep.first: 'x' is text, expected a number"],
    ["{ frist: 1 }", "keep.frist: unknown key 'frist' (did you mean 'first'?)"],
    ["domian", "keep: 'domian' is text, expected 'domain' or 'length' or a map"],
  ])("tells of an alternative such as keep: %s what fits", (keep, told) => {
    const rule = `{ subjects: [a.b], redact: [{ path: $.a, with: mask, keep: ${keep} }] }`;
    const [found, more] = problems(
      `site: b\ntenants: [{ tenant: a, exports: [{ name: x, to: [c], rules: [${rule}] }] }]\n`,
    );
    expect([found?.slice(found.indexOf("keep")), more]).toEqual([told, undefined]);
  });

  test.each([
    ["{ with: mask }", "path: is missing (expected a path, or 'detect' for texts anywhere)"],
    ["{ detect: [], with: mask }", "detect: is empty, expected at least 1 entry"],
    [
      "{ detect: [emial], with: mask }",
      "detect[0]: 'emial' is text, expected 'email', 'card', 'iban', 'phone', 'ip' or 'token' or a map with 'name', 'pattern'",
    ],
    ["{ detect: [{ name: x }], with: mask }", "detect[0].pattern: is missing (expected text)"],
    ["{ path: $.a, detect: [ip], with: encrypt }", "detect: unknown key 'detect' (known: path, with)"],
    ["{ detect: [ip], with: replace, value: 4 }", "value: 4 cannot stand inside of a text, expected text"],
    ["{ path: $.a, with: replace }", "value: is missing (expected text, a number or true or false)"],
    ["{ path: $.a, with: truncate }", "length: is missing (expected a number)"],
    ["{ path: $.a, with: truncate, length: 0 }", "length: 0 is out of range, expected at least 1"],
    [
      "{ path: $.a, with: replace, value: 12345678901234567890 }",
      "value: 12345678901234567000 is no number that every reader takes for the same: put it in quotes",
    ],
  ])("refuses the redaction %s", (redaction, told) => {
    const rule = `{ subjects: [a.b], redact: [${redaction}] }`;
    const found = problems(
      `site: b\ntenants: [{ tenant: a, exports: [{ name: x, to: [c], rules: [${rule}] }] }]\n`,
    );
    expect(found.map((one) => one.replace(/^.*redact\[0\]\./, ""))).toEqual([told]);
  });

  test("refuses an alias bomb and values that nest too deep", () => {
    const bomb = `a: &a [1,1,1,1,1,1,1,1]\n${["b", "c", "d", "e"]
      .map((name, i) => `${name}: &${name} [${Array(8).fill(`*${"abcd"[i]}`).join(",")}]`)
      .join("\n")}\n`;
    expect(refused(() => parseSiteFile(bomb, "site.yaml")).message).toContain("aliases expand to too much");
    expect(refused(() => parseSiteFile("[".repeat(50_000), "site.yaml")).message).toContain(
      "nested too deep",
    );
  });

  test("refuses a file of more than 4 MiB", () => {
    expect(refused(() => parseSiteFile(`#${"x".repeat(5 << 20)}`, "site.yaml")).code).toBe("config_invalid");
  });

  test("reports all problems at once, in the order of the file", () => {
    const found = problems(`site: Berlin
tenats: []
tenants:
  - tenant: acme
    limits: { storage: 2 parsecs }
    exports:
      - name: eu
        to: []
        rules:
          - subjects: ["acme..x", "acme.>.y"]
            redact: [{ path: $.a, with: maks }]
            headers: { set: { "a b": x } }
`);
    expect(found).toEqual([
      "1:7 site: 'Berlin' must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'",
      "2:1 tenats: unknown key 'tenats' (did you mean 'tenants'?)",
      "5:24 tenants[0].limits.storage: '2 parsecs' is no size (expected for example 512KiB, 10MB, 2GiB)",
      "8:13 tenants[0].exports[0].to: is empty, expected at least 1 entry",
      "10:24 tenants[0].exports[0].rules[0].subjects[0]: 'acme..x' is no subject pattern: it has an empty token",
      "10:35 tenants[0].exports[0].rules[0].subjects[1]: 'acme.>.y' is no subject pattern: it has '>' before its last token",
      "11:41 tenants[0].exports[0].rules[0].redact[0].with: 'maks' is unknown (did you mean 'mask'?), expected 'remove', 'mask', 'replace', 'truncate', 'pseudonym' or 'encrypt'",
      "12:31 tenants[0].exports[0].rules[0].headers.set[\"a b\"]: 'a b' is no header name",
    ]);
  });

  test.each([
    ["a seed as a peer's key", `site: berlin\npeers: [{ name: tokyo, key: ${SEED} }]\n`],
    ["a seed as a name", `site: ${SEED}\n`],
    ["a seed as an unknown key", `site: berlin\n${SEED}: 1\n`],
    ["a seed as a key that stands twice", `${SEED}: 1\n${SEED}: 1\n`],
    [
      "a seed as a subject",
      `site: berlin\ntenants: [{ tenant: a, imports: [{ from: b, subjects: ["a b.${SEED}"] }] }]\n`,
    ],
    ["a seed as the token", `site: berlin\napi: { token: ${SEED} }\n`],
    [
      "a password in a peer's URL",
      `site: berlin\npeers: [{ name: tokyo, key: ${KEY}, dial: "nats-leaf://me:${SEED}@h:1" }]\n`,
    ],
  ])("never repeats %s", (_, text) => {
    const error = refused(() => parseSiteFile(text, "site.yaml"));
    expect(error.problems.length).toBeGreaterThan(0);
    expect(JSON.stringify([error.message, error.problems])).not.toContain(SEED.slice(0, 20));
  });

  test("never repeats a token or a password that is no seed", () => {
    const text = `site: berlin\napi: { token: hunter22 }\npeers: [{ name: t, key: ${KEY}, dial: "tls://me:hunter22@h" }]\n`;
    const error = refused(() => parseSiteFile(text, "site.yaml"));
    expect(error.problems.map(({ path }) => path)).toEqual(["api.token", "peers[0].dial"]);
    expect(JSON.stringify([error.message, error.problems])).not.toContain("hunter22");
  });
});

describe("locateProblems()", () => {
  const text = `site: berlin
tenants:
  - tenant: acme
    exports:
      - name: eu
        to: [tokyo]
        rules: &rules
          - subjects: ["acme.a", "acme.b"]
            headers: { set: { "a.b": x } }
      - { name: us, to: [austin], rules: *rules }
`;
  const { source } = parseLocatedSiteFile(text, "site.yaml");
  const place = (path: string, base?: string) => {
    const [found] = locateProblems(source, [{ path, message: "x" }], base);
    return `${found?.line}:${found?.column} ${found?.path}`;
  };

  test("gives a path its line and column", () => {
    expect(place("tenants[0].exports[0].rules[0].subjects[1]")).toBe(
      "8:34 tenants[0].exports[0].rules[0].subjects[1]",
    );
    expect(place('tenants[0].exports[0].rules[0].headers.set["a.b"]')).toStartWith("9:38 ");
  });

  test("follows aliases to the text they repeat", () => {
    expect(place("tenants[0].exports[1].rules[0].subjects[0]")).toStartWith("8:24 ");
  });

  test("places what is missing at what should hold it", () => {
    expect(place("tenants[0].exports[0].origin")).toStartWith("5:9 ");
    expect(place("tenants[4]")).toStartWith("3:3 ");
    expect(place("")).toBe("1:1 ");
  });

  test("joins the base of paths that start deeper", () => {
    expect(place("exports[0].to[0]", "tenants[0]")).toBe("6:14 tenants[0].exports[0].to[0]");
    expect(place("[0].tenant", "tenants")).toBe("3:13 tenants[0].tenant");
  });
});

describe("server.cluster", () => {
  const text = (cluster: string, more = "") => `site: berlin\nserver:\n  cluster: ${cluster}\n${more}`;

  test("names this server and all the others", () => {
    const cluster = { member: "a", listen: "0.0.0.0:6222", routes: ["b:6222", "c:6222"] };
    expect(parseSiteFile(text(JSON.stringify(cluster)), "x.yaml").server?.cluster).toEqual(cluster);
  });

  test("is refused where servers are missing, have no port, or are somebody else's to run", () => {
    const messages = (file: string) =>
      refused(() => parseSiteFile(file, "x.yaml")).problems.map(({ message }) => message);
    expect(messages(text('{ member: a, listen: "x:0", routes: ["b:6222"] }'))).toEqual([
      "x:0 names no port",
      "name 1 servers, expected the 2 others of the site",
    ]);
    const external = text(
      '{ member: a, listen: "x:1", routes: ["b:1", "c:1"] }',
      "  mode: external\n  url: x:4222\n",
    );
    expect(messages(external)).toEqual(["'cluster' goes with mode: embedded"]);
  });
});

describe("parseTenantFile()", () => {
  test("reads one tenant, or several documents", () => {
    expect(parseTenantFile("tenant: acme\n", "acme.yaml")).toEqual([{ tenant: "acme" }]);
    const both = parseTenantFile("tenant: acme\n---\ntenant: bolt\nlog: false\n", "both.yaml");
    expect(both.map(({ tenant }) => tenant)).toEqual(["acme", "bolt"]);
  });

  test("reports the problems of all documents", () => {
    const error = refused(() => parseTenantFile("tenant: Acme\n---\ntenant: bolt\nlogs: 1\n---\n", "x.yaml"));
    expect(error.problems.map(({ line, column }) => `${line}:${column}`)).toEqual(["1:9", "4:1", "5:4"]);
  });

  test("refuses a tenant that stands twice, and an empty file", () => {
    const twice = refused(() => parseTenantFile("tenant: acme\n---\ntenant: acme\n", "x.yaml"));
    expect(twice.message).toContain("x.yaml:3:9 tenant: tenant 'acme' has a document before this one");
    expect(refused(() => parseTenantFile("\n", "x.yaml")).code).toBe("config_invalid");
  });
});

describe("parseApplyFile()", () => {
  test("tells a site file from tenants' documents", () => {
    expect(parseApplyFile("site: berlin\n", "x.yaml").type).toBe("site");
    expect(parseApplyFile("tenant: acme\n", "x.yaml").type).toBe("tenants");
  });
});

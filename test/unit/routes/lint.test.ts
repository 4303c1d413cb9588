import { describe, expect, test } from "bun:test";
import { problemOf, testApi } from "./api_support.ts";

describe("/v1/lint", () => {
  test("GET lints the policies in force", async () => {
    const { call, control, logged } = testApi();
    const response = await call("GET", "/v1/lint");
    expect([response.status, await response.json()]).toEqual([
      200,
      { files: ["berlin"], findings: [], errors: 0, warnings: 0 },
    ]);
    expect([control.calls, logged]).toEqual([["lint the state"], []]);
  });

  test("POST lints a text, with line and column, and changes nothing", async () => {
    const { call, control, logged } = testApi();
    const text = "site: berlin\ntenants:\n  - tenant: acme\n    lgo: true\n";
    const response = await call("POST", "/v1/lint", { text, name: "berlin.yaml" });
    expect([response.status, await response.json()]).toEqual([
      200,
      {
        files: ["berlin.yaml"],
        findings: [
          {
            code: "invalid",
            severity: "error",
            message: "unknown key 'lgo' (did you mean 'log'?)",
            file: "berlin.yaml",
            path: "tenants[0].lgo",
            line: 4,
            column: 5,
            related: [],
          },
        ],
        errors: 1,
        warnings: 0,
      },
    ]);
    expect([control.calls, logged]).toEqual([["lint berlin.yaml"], []]);
  });

  test.each([
    [{}, "The body is not valid: text is missing (expected text)"],
    [{ text: 5 }, "The body is not valid: text 5 is a number, expected text: put it in quotes"],
    [{ text: "", txt: "" }, "The body is not valid: txt unknown key 'txt' (did you mean 'text'?)"],
    [{ text: "", name: "" }, "The body is not valid: name is empty, expected at least 1 character"],
  ])("POST refuses %j", async (body, detail) => {
    expect(await problemOf(await testApi().call("POST", "/v1/lint", body))).toMatchObject({ detail });
  });

  test("POST reads no file of this machine, whatever the text names", async () => {
    const version = "versions: [{ version: 1, file: /etc/hostname }]";
    for (const text of [
      `site: berlin\ntenants:\n  - tenant: acme\n    schemas: [{ name: a, ${version} }]\n`,
      `tenant: acme\nschemas: [{ name: a, ${version} }]\n`,
    ]) {
      const response = await testApi().call("POST", "/v1/lint", { text });
      expect(await response.json()).toMatchObject({
        findings: [
          {
            code: "invalid",
            message:
              "'/etc/hostname' cannot be read as a JSON Schema: a text that is sent names no files, give the JSON Schema itself as 'schema'",
          },
        ],
      });
    }
  });

  test("wants the token", async () => {
    expect((await testApi().app.request("/v1/lint")).status).toBe(401);
  });
});

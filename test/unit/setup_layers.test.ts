import { describe, expect, test } from "bun:test";
import { lintLayers } from "../../scripts/lint-layers.ts";

const lint = (path: string, text: string): string[] =>
  lintLayers(new Map([[path, text]])).map((finding) => finding.text);

describe("lintLayers()", () => {
  test("refuses an import that the table has no arrow for", () => {
    expect(lint("src/policy/x.ts", 'import { y } from "../nats/y.ts";\n')).toEqual([
      "src/policy/x.ts imports src/nats/y.ts: policy may import model",
    ]);
  });

  test.each([
    ["a multi-line import", 'import {\n  a,\n  type B,\n} from "../control/y.ts";'],
    ["a re-export", 'export * from "../control/y.ts";'],
    ["an import for its effect", 'import "../control/y.ts";'],
    ["a dynamic import", 'const x = await import("../control/y.ts");'],
    ["a type import", 'import type { X } from "../control/y.ts";'],
  ])("sees %s", (_, text) => {
    expect(lint("src/nats/x.ts", text)).toHaveLength(1);
  });

  test("takes imports along the arrows, inside a part, and of packages", () => {
    const text = [
      'import { z } from "zod";',
      'import { a } from "./a.ts";',
      'import { b } from "../../policy/decide.ts";',
      'import type { C } from "../../model/c.ts";',
    ].join("\n");
    expect(lint("src/flow/deep/x.ts", text)).toEqual([]);
  });

  test("takes types but no values where the table says so", () => {
    expect(lint("routes/x.ts", 'import type { X } from "../src/control/y.ts";')).toEqual([]);
    expect(lint("routes/x.ts", 'import { type X, type Y } from "../src/control/y.ts";')).toEqual([]);
    expect(lint("routes/x.ts", 'import { type X, y } from "../src/control/y.ts";')).toEqual([
      "routes/x.ts imports src/control/y.ts: routes may import model, and types of policy, nats, control, flow, observe",
    ]);
  });

  test("lets only src/cli/up.ts build the sidecar", () => {
    const text = 'import { startSidecar } from "../sidecar.ts";';
    expect(lint("src/cli/up.ts", text)).toEqual([]);
    expect(lint("src/cli/down.ts", text)).toHaveLength(1);
  });

  test("takes an import in a comment for no import", () => {
    expect(
      lint("src/model/x.ts", '// import { y } from "../nats/y.ts";\n/* import "../nats/y.ts" */\n'),
    ).toEqual([]);
  });

  test("refuses a part that the layout does not have", () => {
    expect(lint("src/utils/x.ts", "")).toEqual(["src/utils/x.ts: 'utils' is no part of the layout"]);
  });

  test("refuses focused tests and warns of long files", () => {
    const focused = `test${".only"}("x", () => {});\n`;
    expect(lint("test/unit/x.test.ts", focused)).toHaveLength(1);
    expect(lintLayers(new Map([["src/model/x.ts", "\n".repeat(401)]]))).toEqual([
      { type: "warning", text: "src/model/x.ts has 401 lines: above 400 there are two files in it" },
    ]);
  });
});

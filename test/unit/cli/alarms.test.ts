import { expect, test } from "bun:test";
import { ALARMS } from "../../../src/model/alarms.ts";
import { createWorld } from "./cli_support.ts";

test("alarms shows what is raised, and what to do", async () => {
  const world = createWorld();
  expect((await world.run("alarms")).out).toBe("no alarms\n");
  world.api.control.raised = [
    {
      name: "link-down",
      ...ALARMS["link-down"],
      target: "tokyo",
      tenant: null,
      peer: "tokyo",
      detail: "no leaf connection",
      since: new Date(0).toISOString(),
    },
  ];
  const { out, code } = await world.run("alarms");
  expect(code).toBe(0);
  expect(out).toContain("warning  link-down  tokyo, for ");
  expect(out).toContain(`\n  no leaf connection\n  to do: ${ALARMS["link-down"].todo}\n`);
  expect((await world.run("status")).out).toContain("alarms   1 warning: see 'leafmesh alarms'");
});

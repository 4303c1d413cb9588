import { expect, test } from "bun:test";
import { lossesIn } from "../../support/faults/named_losses.ts";

test("lossesIn() reads the ranges that alarms name, and nothing else", () => {
  const log = [
    "2026-11-22T21:17:48.873Z ERROR berlin alarm: importer-rolled-back raised for in_acme: the store is an older copy: in_acme lacks events 5 to 9",
    "2026-11-22T21:17:48.873Z ERROR berlin alarm: importer-rolled-back raised for out_acme of tokyo: the store is an older copy, and the route by which tokyo gives events of tokyo begins behind what is stored of them: what one before it has let out of events 21552 to 22191 of acme at tokyo is not fetched again. Where there was one, have tokyo replay them",
    "2026-11-22T21:17:48.873Z ERROR berlin alarm: importer-rolled-back raised for view_acme_out to tokyo: the store of tokyo is an older copy: it lacks what was let out of events 301 to 600 of acme, and view_acme_out, to which its route moves, begins behind them. Replay them to tokyo",
  ];
  expect(lossesIn("berlin", log.join("\n"))).toEqual([
    { at: "berlin", origin: "tokyo", tenant: "acme", first: 21552, last: 22191 },
    { at: "tokyo", origin: "berlin", tenant: "acme", first: 301, last: 600 },
  ]);
});

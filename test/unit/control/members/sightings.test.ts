import { expect, test } from "bun:test";
import { Sightings } from "../../../../src/control/members/sightings.ts";

test("Sightings tell how long a key stands still, by the clock of who looks", () => {
  let now = 100;
  const sightings = new Sightings(() => now);
  expect(sightings.stillMs("leader")).toBeNull();
  sightings.see("leader", 7);
  now = 400;
  sightings.see("leader", 7);
  expect(sightings.stillMs("leader")).toBe(300);
  expect(sightings.moves("leader")).toBe(0);
  // A bucket that was made anew counts from its begin: another revision is a move, a lower one too.
  sightings.see("leader", 1);
  expect(sightings.stillMs("leader")).toBe(0);
  expect(sightings.moves("leader")).toBe(1);
  sightings.forget("leader");
  expect(sightings.stillMs("leader")).toBeNull();
});

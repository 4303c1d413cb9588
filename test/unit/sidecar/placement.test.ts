import { describe, expect, test } from "bun:test";
import { type Choice, choosePlace, nextMove } from "../../../src/sidecar/spread/placement.ts";

type Given = Readonly<Record<string, Readonly<Record<string, number>>>>;

function choice(given: Given, members: readonly string[], can: Choice["can"] = () => true): Choice {
  const places = Object.entries(given).map(([tenant, at]) => [tenant, new Map(Object.entries(at))] as const);
  return { places: new Map(places), members, can };
}

/** Makes all moves. @returns how many there were, and where each tenant is then */
function settle(given: Given, members: readonly string[], can?: Choice["can"]) {
  const places: Record<string, Record<string, number>> = structuredClone(given);
  for (let moves = 0; ; moves++) {
    const move = nextMove(choice(places, members, can));
    if (move === null) return { moves, places };
    expect(moves).toBeLessThan(100);
    const views = Object.values(places[move.tenant] ?? {}).reduce((sum, one) => sum + one, 0);
    places[move.tenant] = { [move.to]: views };
  }
}

describe("choosePlace()", () => {
  test("keeps all views of a tenant at one member", () => {
    expect(choosePlace(choice({ acme: { b: 3 }, globex: { a: 1 } }, ["a", "b"]), "acme")).toBe("b");
  });

  test("takes the member with the fewest views, the first where they have as many", () => {
    const given = { acme: { a: 2 }, globex: { b: 1 } };
    expect(choosePlace(choice(given, ["a", "b"]), "initech")).toBe("b");
    expect(choosePlace(choice({}, ["a", "b"]), "initech")).toBe("a");
  });

  test("takes no member that cannot run a tenant's views, and none that is gone", () => {
    const given = { acme: { b: 1 }, globex: { a: 5 } };
    expect(
      choosePlace(
        choice(given, ["a", "b"], (member) => member !== "b"),
        "acme",
      ),
    ).toBe("a");
    expect(choosePlace(choice(given, ["a"]), "acme")).toBe("a");
    expect(
      choosePlace(
        choice(given, ["b"], () => false),
        "acme",
      ),
    ).toBeNull();
  });
});

describe("nextMove()", () => {
  test("leaves what is spread where it is", () => {
    expect(nextMove(choice({ acme: { a: 1 }, globex: { b: 1 }, initech: { a: 1 } }, ["a", "b"]))).toBeNull();
    // One tenant alone is not split.
    expect(nextMove(choice({ acme: { a: 7 } }, ["a", "b"]))).toBeNull();
  });

  test("brings a tenant together, and away from a member that is not there", () => {
    const { places } = settle({ acme: { a: 1, b: 2 }, globex: { gone: 1 } }, ["a", "b"]);
    expect(places).toEqual({ acme: { b: 3 }, globex: { a: 1 } });
  });

  test("gives a member that has come its part, with as few moves as that takes", () => {
    const given = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`t${n}`, { a: 1 }]));
    const { moves, places } = settle(given, ["a", "b"]);
    expect(moves).toBe(5);
    expect(Object.values(places).filter(({ a }) => a === 1).length).toBe(5);
  });

  test("comes to an end with tenants of different sizes", () => {
    for (const sizes of [
      [5, 1, 1, 1],
      [2, 2],
      [3, 3, 3, 1],
      [1, 2, 3, 4, 5, 6],
    ]) {
      const given = Object.fromEntries(sizes.map((views, n) => [`t${n}`, { a: views }]));
      const { places } = settle(given, ["a", "b", "c"]);
      expect(Object.values(places).every((at) => Object.keys(at).length === 1)).toBe(true);
    }
  });

  test("moves no tenant to a member that cannot run it", () => {
    const can = (member: string, tenant: string) => member === "a" || tenant === "t1";
    const { places } = settle({ t0: { a: 1 }, t1: { a: 1 }, t2: { a: 1 } }, ["a", "b"], can);
    expect(places).toEqual({ t0: { a: 1 }, t1: { b: 1 }, t2: { a: 1 } });
  });
});

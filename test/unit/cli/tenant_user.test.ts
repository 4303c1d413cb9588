/** `tenant user add|list|remove`: secrets are made here, and only their public halves go on. */
import { describe, expect, test } from "bun:test";
import { createWorld, hashOf, PASSWORD, PUBLIC_KEY, SEED, type World } from "./cli_support.ts";

function acme(): World {
  const world = createWorld();
  world.api.control.seed({ type: "tenant", tenant: "acme" }, { users: [] });
  return world;
}

function users(world: World): unknown {
  return world.api.control.state.get({ type: "tenant", tenant: "acme" })?.value.users;
}

describe("tenant user add", () => {
  test("writes role, subjects, log and end, and says which inbox to use", async () => {
    const world = acme();
    const words = ["--role", "subscriber", "--subjects", "acme.a.>,acme.b", "--subjects", "acme.c", "--log"];
    const { code, out } = await world.run(
      "tenant",
      "user",
      "add",
      "acme",
      "billing",
      ...words,
      "--expires",
      "1d",
    );
    expect(code).toBe(0);
    expect(users(world)).toEqual([
      {
        name: "billing",
        key: PUBLIC_KEY,
        role: "subscriber",
        subjects: ["acme.a.>", "acme.b", "acme.c"],
        log: true,
        expires: "2026-01-03T06:16:05.000Z",
      },
    ]);
    expect(out).toContain("--inbox-prefix _INBOX_.billing consumer next acme user_billing");
  });

  test("makes a password, and sends its hash alone", async () => {
    const world = acme();
    const { code, out } = await world.run(
      "tenant",
      "user",
      "add",
      "acme",
      "sensor",
      "--role",
      "publisher",
      "--mqtt",
    );
    expect(code).toBe(0);
    expect(users(world)).toEqual([
      { name: "sensor", passwordHash: hashOf(PASSWORD, 4), role: "publisher", mqtt: true },
    ]);
    expect([world.files.get("acme-sensor.password"), world.modes.get("acme-sensor.password")]).toEqual([
      `${PASSWORD}\n`,
      0o600,
    ]);
    expect(`${world.requests.join()}${out}`).not.toContain(PASSWORD);
    expect(out).toContain("acme.sensor");
  });

  test("takes a chosen password from a file alone, and makes its hash a dear one", async () => {
    const world = acme();
    world.files.set("chosen", "short\n");
    const refused = await world.run("tenant", "user", "add", "acme", "web", "--password-file", "chosen");
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringContaining("is shorter than 12 characters"),
    ]);
    world.files.set("chosen", "twelve characters or more\nanother line\n");
    expect((await world.run("tenant", "user", "add", "acme", "web", "--password-file", "chosen")).code).toBe(
      0,
    );
    expect(users(world)).toEqual([{ name: "web", passwordHash: hashOf("twelve characters or more", 10) }]);
  });

  test("writes a context and settings, mode 0600", async () => {
    const world = acme();
    const files = ["--context", "c.json", "--env", "e.env", "--key-file", "/k/pub.nk"];
    expect(
      (await world.run("tenant", "user", "add", "acme", "pub", "--role", "publisher", ...files)).code,
    ).toBe(0);
    expect(JSON.parse(world.files.get("c.json") ?? "")).toEqual({
      description: "publisher pub of acme at berlin (Leafmesh)",
      url: "nats://127.0.0.1:4222",
      nkey: "/k/pub.nk",
      inbox_prefix: "_INBOX_.pub",
    });
    expect(world.files.get("e.env")).toBe(
      `NATS_URL=nats://127.0.0.1:4222\nNATS_NKEY_PUBLIC=${PUBLIC_KEY}\nNATS_NKEY=/k/pub.nk\nNATS_INBOX_PREFIX=_INBOX_.pub\n`,
    );
    expect([world.modes.get("c.json"), world.modes.get("e.env")]).toEqual([0o600, 0o600]);
    expect(`${world.files.get("c.json")}${world.files.get("e.env")}`).not.toContain(SEED);
  });

  test("leaves nothing behind where it fails", async () => {
    const world = acme();
    world.files.set("e.env", "mine");
    const { code } = await world.run(
      "tenant",
      "user",
      "add",
      "acme",
      "web",
      "--context",
      "c.json",
      "--env",
      "e.env",
    );
    expect([code, users(world)]).toEqual([5, []]);
    expect([world.files.has("c.json"), world.files.get("e.env"), world.files.has("acme-web.nk")]).toEqual([
      false,
      "mine",
      false,
    ]);
  });

  test.each([
    [["--role", "admin"], "--role"],
    [["--role", "app", "--subjects", "acme.x"], "goes with the roles publisher and subscriber"],
    [["--expires", "soon"], "is no duration and no time"],
    [["--expires", "2020-01-01T00:00:00Z"], "is over already"],
    [["--password", "--key", PUBLIC_KEY], "a key or a password"],
  ])("refuses %p", async (words, why) => {
    const world = acme();
    const { code, err } = await world.run("tenant", "user", "add", "acme", "web", ...words);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    expect(users(world)).toEqual([]);
  });
});

test("tenant user revoke is remove", async () => {
  const world = createWorld();
  world.api.control.seed({ type: "tenant", tenant: "acme" }, { users: [{ name: "web", key: PUBLIC_KEY }] });
  expect((await world.run("tenant", "user", "revoke", "acme", "web")).code).toBe(0);
  expect(users(world)).toEqual([]);
});

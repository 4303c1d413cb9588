import { describe, expect, test } from "bun:test";
import { createWorld } from "./cli_support.ts";

const TOKEN = "lmi_abc.def";

describe("peer invite", () => {
  test("prints the token alone on stdout, and what it is for beside it", async () => {
    const world = createWorld();
    const { code, out, err } = await world.run("peer", "invite", "tokyo", "--expires", "5m");
    expect([code, out]).toEqual([0, `${TOKEN}\n`]);
    expect(err).toContain("For tokyo, once, until 2026-01-02T03:19:05.000Z");
    expect(world.api.control.calls).toContain("invite tokyo for 300000 at -");
  });

  test("refuses a name, a time or an address that is none", async () => {
    const world = createWorld();
    for (const words of [["Tokyo"], ["tokyo", "--expires", "25h"], ["tokyo", "--address", "x"]])
      expect((await world.run("peer", "invite", ...words)).code).toBe(2);
    expect(world.api.control.calls).toEqual([]);
  });
});

describe("peer invitations and uninvite", () => {
  test("list them without tokens, and close one", async () => {
    const world = createWorld();
    const { out } = await world.run("peer", "invitations");
    expect(out).toContain("9f86d081884c7d65  tokyo  open");
    expect(out).not.toContain("lmi_");
    expect((await world.run("peer", "uninvite", "9f86d081884c7d65")).code).toBe(0);
    expect((await world.run("peer", "uninvite", "0000000000000000")).code).toBe(4);
  });
});

describe("peer join", () => {
  test("shows what will be trusted and asks; without a yes nothing is done", async () => {
    const world = createWorld();
    world.answer = "n";
    const no = await world.run("peer", "join", TOKEN);
    expect(no.code).toBe(2);
    for (const text of [
      "berlin",
      "127.0.0.1:7422",
      "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
    ])
      expect(no.err).toContain(text);
    expect(no.err).toContain("Make berlin a peer? [y/N]");
    expect(no.err).not.toContain(TOKEN);
    expect(world.api.control.calls).toEqual([]);

    world.answer = "y";
    const yes = await world.run("peer", "join", TOKEN, "--dial-back", "tokyo.example.net:7422");
    expect([yes.code, world.api.control.calls]).toEqual([0, ["join tokyo.example.net:7422"]]);
    expect(yes.out).toContain("berlin is a peer of this site, linked after 0.4 s");
  });

  test("asks nobody where there is no terminal: --yes is needed", async () => {
    const world = createWorld();
    const { code, err } = await world.run("peer", "join", TOKEN);
    expect([code, world.api.control.calls]).toEqual([2, []]);
    expect(err).toContain("--yes");
    expect((await world.run("peer", "join", TOKEN, "--yes")).code).toBe(0);
  });

  test("reads the token from stdin", async () => {
    const world = createWorld();
    world.files.set("/dev/stdin", `${TOKEN}\n`);
    expect((await world.run("peer", "join", "-", "--yes")).code).toBe(0);
    expect(world.requests.at(-1)).toContain(`"token":"${TOKEN}"`);
  });

  test("tells a refusal by its code", async () => {
    const world = createWorld();
    const { code, json } = await world.run("peer", "join", "lmi_bad", "--yes", "--json");
    expect([code, json()]).toEqual([
      2,
      { error: { code: "invitation_invalid", detail: "This is no invitation" } },
    ]);
  });
});

describe("peer revoke", () => {
  test("says when the link was gone", async () => {
    const world = createWorld();
    const { code, out } = await world.run("peer", "revoke", "tokyo");
    expect(code).toBe(0);
    expect(out).toContain("tokyo is revoked, its link was cut after 0.12 s");
  });
});

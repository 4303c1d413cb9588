/** Two fresh sites become peers with two commands and an exchange of one token, as the README says. */
import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LinkReport } from "../../src/control/link_api.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { freePorts } from "../support/free_ports.ts";
import { RawJoiner } from "../support/raw_joiner.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";
import { Program, run } from "./program.ts";

test("peer invite at one site, peer join at the other, and they are linked; peer revoke ends it", async () => {
  await using folder = await tempFolder();
  const ports = (await freePorts("127.0.0.1", 6)).map((port) => `127.0.0.1:${port}`);
  const sites = await Promise.all(
    ["berlin", "austin"].map(async (name, i) => {
      const [listen = "", leaf = "", api = ""] = ports.slice(3 * i, 3 * i + 3);
      const cwd = join(folder.path, name);
      await mkdir(cwd);
      const words = ["up", "--site", name, "--listen", listen, "--leaf", leaf, "--api", api];
      return { program: new Program(words, { cwd }), cwd, leaf, env: { LEAFMESH_API: `http://${api}` }, api };
    }),
  );
  const [berlin, austin] = sites;
  if (berlin === undefined || austin === undefined) throw new Error("two sites were started");
  await using _one = berlin.program;
  await using _other = austin.program;
  for (const { api } of sites) {
    await waitFor(async () => (await fetch(`http://${api}/readyz`)).ok, { deadlineMs: 30_000, what: api });
  }

  // One that stops in the middle, and is taken in by hand.
  const half = (await run(["peer", "invite", "tokyo"], berlin)).stdout.trim();
  const tokyo = createSigningKey();
  using stopped = await RawJoiner.open(half, tokyo);
  expect(await stopped.ask()).toEqual({ joined: true });
  expect((await run(["peer", "list"], berlin)).stdout).toContain("tokyo (joining)");
  const trusted = await run(["peer", "trust", "tokyo", "--key", tokyo.publicKey], berlin);
  expect(trusted).toMatchObject({ code: 0, stderr: "" });
  expect((await run(["peer", "list"], berlin)).stdout).not.toContain("joining");
  expect((await run(["peer", "remove", "tokyo"], berlin)).code).toBe(0);

  const invited = await run(["peer", "invite", "austin"], berlin);
  expect([invited.code, invited.stdout]).toEqual([0, expect.stringMatching(/^lmi_[\w-]+\.[\w-]+\n$/)]);
  expect(invited.stderr).toContain(`it dials ${berlin.leaf}`);
  const token = invited.stdout.trim();

  // Without a terminal nobody is asked: what would be trusted is shown, and nothing is done.
  const shown = await run(["peer", "join", token], austin);
  expect(shown.code).toBe(2);
  expect(shown.stderr).toContain("This site will trust");
  expect((await run(["peer", "list"], austin)).stdout).toContain("No peers yet");

  const joined = await run(["peer", "join", token, "--yes"], austin);
  expect(joined).toMatchObject({ code: 0, stderr: "" });
  expect(joined.stdout).toMatch(/^berlin is a peer of this site, linked after \d+\.\d s\.\n/);
  const links = async (site: typeof berlin) =>
    JSON.parse((await run(["links", "--json"], site)).stdout) as LinkReport[];
  await waitFor(async () => (await links(berlin))[0]?.verified === "yes", { deadlineMs: 30_000 });
  expect((await run(["peer", "invitations"], berlin)).stdout).toMatch(/ austin +(used|joining) /);

  const revoked = await run(["peer", "revoke", "austin"], berlin);
  expect(revoked.code).toBe(0);
  expect(revoked.stdout).toMatch(/^austin is revoked, its link was cut after \d+\.\d\d s\./);
  expect((await links(berlin))[0]).toMatchObject({ peer: "austin", connected: false });
  await waitFor(async () => (await links(austin))[0]?.connected === false, { deadlineMs: 30_000 });
}, 120_000);

/** The program as Deno runs it: from the command to the signal that ends it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DENO = ["run", "-A", "--no-remote", "--no-check", "--config", join(ROOT, "deno.json")];
const MAIN = join(ROOT, "src/cli/main.ts");

/** Runs a command and returns what it printed. */
async function leafmesh(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...DENO, MAIN, ...args],
    cwd,
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  return decoder.decode(stdout);
}

Deno.test("leafmesh up runs on Deno, answers other commands, and ends with its server on SIGTERM", async () => {
  await using folder = await tempFolder();
  const any = "127.0.0.1:0";
  const args = [...DENO, MAIN, "up", "--site", "berlin", "--api", any, "--listen", any, "--leaf", any];
  const sidecar = new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder.path,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let printed = "";
  const reading = (async () => {
    for await (const text of sidecar.stdout.pipeThrough(new TextDecoderStream())) printed += text;
  })();
  const data = join(folder.path, "leafmesh-data/berlin");
  try {
    const api = await waitFor(() => /api +(http:\S+)/.exec(printed)?.[1], {
      deadlineMs: 20_000,
      what: "the API",
    });
    const health = await fetch(`${api}/healthz`);
    assert.deepEqual(await health.json(), { ok: true });

    const key = /site key (U\w+)/.exec(printed)?.[1] ?? "";
    const status = await leafmesh(folder.path, "status", "--api", api);
    assert.ok(status.includes(key), status);
    assert.match(status, new RegExp(`on deno ${Deno.version.deno.replaceAll(".", "\\.")}`));
    await leafmesh(folder.path, "tenant", "add", "acme", "--api", api);
    assert.match(await readFile(join(folder.path, "acme-app.nk"), "utf8"), /^SU/);
    assert.notEqual(await readRunningProcess(join(data, "nats.pid")), null);
  } finally {
    sidecar.kill("SIGTERM");
  }
  assert.equal((await sidecar.status).code, 0);
  await reading;
  assert.equal(await readRunningProcess(join(data, "nats.pid")), null);
});

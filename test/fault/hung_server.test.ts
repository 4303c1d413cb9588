/**
 * A nats-server that runs and answers nothing: it is found by what the sidecar asks it, ended, and started again, and nothing is lost or
 * repeated. What makes it silent here is the way to it; the server itself has no way to be made to hang.
 */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DATA_FILES } from "../../src/nats/data_folder.ts";
import { watchHungServer } from "../../src/nats/hung_server.ts";
import { loadSigningKey } from "../../src/nats/keys.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { arrivesOnce } from "../support/arrives_once.ts";
import { LinkProxy } from "../support/faults/link_proxy.ts";
import { Load } from "../support/ledger.ts";
import { startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const AFTER_MS = 12_000;

test("a server that is silent is ended with the stacks of all its parts, started again, and nothing is lost or repeated", async () => {
  await using mesh = await startPair({
    exports: [
      {
        name: "out",
        to: ["austin"],
        rules: [{ subjects: ["acme.v.>"], redact: [{ path: "$.email", with: "remove" }] }],
      },
    ],
    imports: [{ from: "berlin", subjects: ["acme.>"], live: false }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), {
    subject: (n) => `acme.v.${n % 4}`,
    body: (n) => ({ email: `person-${n}@example.org` }),
  });
  const pidFile = join(berlin.dataFolder, DATA_FILES.serverPid);
  const before = await readRunningProcess(pidFile);
  expect(before).not.toBeNull();

  await using way = await LinkProxy.listen();
  way.target = berlin.file.server?.listen ?? "";
  const said: string[] = [];
  const watch = watchHungServer({
    site: "berlin",
    address: way.address,
    sys: await loadSigningKey(join(berlin.dataFolder, "keys", "sys.nk")),
    folder: { file: (name) => join(berlin.dataFolder, DATA_FILES[name]) },
    afterMs: AFTER_MS,
    everyMs: 100,
    log: (_level, message) => void said.push(message),
  });
  try {
    await waitFor(() => way.bytes > 2_000, { what: "answers over the way" });
    expect([await readRunningProcess(pidFile), said]).toEqual([before, []]);
    way.mode = { type: "stall" };
    const found = async () => {
      const now = await readRunningProcess(pidFile);
      return now !== null && now.pid !== before?.pid;
    };
    await waitFor(found, { what: "another server", deadlineMs: 60_000 });
  } finally {
    way.mode = { type: "pass" };
    watch[Symbol.dispose]();
  }
  expect(said).toHaveLength(1);
  expect(said[0]).toContain(`process ${before?.pid}`);
  // Each part of a server that stands still is named there.
  const stacks = await readFile(join(berlin.dataFolder, `${DATA_FILES.serverOutput}.1`), "utf8");
  expect(stacks).toContain("SIGQUIT: quit");
  expect(stacks).toContain("goroutine 1 ");

  await mesh.flowing();
  await arrivesOnce(load, await austin.app("acme"), "berlin.acme.v.>");
}, 240_000);

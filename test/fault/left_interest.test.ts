/**
 * Somebody who listens to what goes to a peer while there is no link with it: nats-server can keep that of a link that closed just then, and
 * lets the peer attach no more. The sidecar finds it and restarts the server; nothing is lost, repeated or reordered.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { deliverSubject, outStream } from "../../src/model/names.ts";
import { ControlConnection } from "../../src/nats/control_connection.ts";
import { DATA_FILES } from "../../src/nats/data_folder.ts";
import { loadSiteKeys } from "../../src/nats/keys.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { alarmIsOver } from "../support/alarms.ts";
import { arrivesOnce } from "../support/arrives_once.ts";
import { Load } from "../support/ledger.ts";
import { startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const SUBJECT = deliverSubject("berlin", "austin", outStream("acme"));

test("who listens for a peer that has no link is found, the server restarted, and nothing is lost or repeated", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.v.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"], live: false }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), { subject: (n) => `acme.v.${n % 4}`, pauseMs: 100 });
  await waitFor(() => load.count > 100, { what: "the load" });
  const pidFile = join(berlin.dataFolder, DATA_FILES.serverPid);
  const before = await readRunningProcess(pidFile);
  const { listen = "" } = berlin.file.server ?? {};
  const keys = await loadSiteKeys(berlin.dataFolder);
  const ghost = await ControlConnection.open({
    site: "berlin",
    server: listen,
    keys,
    clustered: false,
    onEvent: () => {},
  });
  const restarted = async () => {
    const now = await readRunningProcess(pidFile);
    return now !== null && now.pid !== before?.pid;
  };
  try {
    ghost.mesh.subscribe(SUBJECT, { callback: () => {} });
    await ghost.mesh.flush();
    // Its source asks for the RESET again, and is told that somebody listens.
    await ghost.system.kickLeaf("austin");
    await waitFor(restarted, { what: "a restart", deadlineMs: 120_000 });
  } finally {
    await ghost[Symbol.asyncDispose]();
  }
  expect(await berlin.log()).toContain("while there is no link with austin");
  await mesh.flowing();
  await arrivesOnce(load, await austin.app("acme"), "berlin.acme.v.>");
  await alarmIsOver(berlin, "listener-left");
}, 240_000);

/**
 * A subscription that nats-server leaves behind of a source keeps it from attaching for as long as the server runs. The sidecar finds it
 * and restarts the server; nothing is lost, repeated or reordered.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import process from "node:process";
import { jetstreamManager } from "@nats-io/jetstream";
import { deliverSubject, logDeliverSubject, outStream } from "../../src/model/names.ts";
import { ControlConnection } from "../../src/nats/control_connection.ts";
import { DATA_FILES } from "../../src/nats/data_folder.ts";
import { loadSiteKeys } from "../../src/nats/keys.ts";
import { listenersOf } from "../../src/nats/listeners.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { sleep } from "../../src/nats/wait.ts";
import { alarmIsOver } from "../support/alarms.ts";
import { arrivesOnce } from "../support/arrives_once.ts";
import { LinkProxy } from "../support/faults/link_proxy.ts";
import { Load } from "../support/ledger.ts";
import { type MeshSite, startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const SUBJECT = deliverSubject("berlin", "austin", outStream("acme"));

/** Who listens to the events of berlin at austin's server, and what ends asking. */
async function listening(site: MeshSite) {
  const keys = await loadSiteKeys(site.dataFolder);
  const { listen = "" } = site.file.server ?? {};
  const control = await ControlConnection.open({
    site: site.name,
    server: listen,
    keys,
    clustered: false,
    onEvent: () => {},
  });
  const ids = async (subject = SUBJECT) => await listenersOf(control.system, "MESH", subject);
  return { ids, [Symbol.asyncDispose]: () => control[Symbol.asyncDispose]() };
}

test("what a server left behind of a source is found, the server restarted, and nothing is lost or repeated", async () => {
  await using way = await LinkProxy.listen();
  await using mesh = await startPair(
    {
      exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.v.>"] }] }],
      imports: [{ from: "berlin", subjects: ["acme.>"], live: false }],
    },
    (file) => {
      const peers = (file.peers ?? []).map((peer) => {
        if (typeof peer.dial !== "string") return peer;
        const { host } = new URL(peer.dial);
        way.target = host;
        return { ...peer, dial: peer.dial.replace(host, way.address) };
      });
      return { ...file, peers };
    },
  );
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  // A link that is new has nothing left of what was told while the first configuration came into force.
  way.reset();
  await sleep(2000);
  await mesh.flowing();
  const load = new Load(await berlin.app("acme"), { subject: (n) => `acme.v.${n % 4}`, pauseMs: 100 });
  await waitFor(() => load.count > 200, { what: "the load" });
  const pidFile = join(austin.dataFolder, DATA_FILES.serverPid);
  const before = await readRunningProcess(pidFile);

  // The sidecar waits before it puts a source in again; here it stands still, and somebody else does not wait.
  await using there = await listening(austin);
  expect(await there.ids()).toHaveLength(1);
  // What an app has listen in its tenant's account is no reason to restart a server that others use, too.
  const app = await jetstreamManager(await austin.app("acme"));
  const heard = logDeliverSubject("acme", "quiet_acme");
  await app.streams.add({ name: "ear", subjects: [heard] });
  expect(await there.ids(heard)).toEqual([]);
  await app.streams.delete("ear");
  {
    await using admin = await austin.mesh();
    process.kill(austin.pid, "SIGSTOP");
    try {
      const { config } = await admin.jsm.streams.info("quiet_acme");
      const without = { ...config, sources: [], subjects: [], duplicate_window: 0 };
      const outAndIn = async () => {
        await admin.jsm.streams.update(config.name, without);
        await sleep(100);
        await admin.jsm.streams.update(config.name, config);
      };
      way.mode = { type: "delay", ms: 400 };
      await sleep(500);
      const leavesOneBehind = async () => {
        await outAndIn();
        await sleep(500);
        await outAndIn();
        await sleep(5000);
        return (await there.ids()).length > 1;
      };
      await waitFor(leavesOneBehind, { what: "what is left behind", deadlineMs: 60_000 });
      way.mode = { type: "pass" };
      await admin.jsm.streams.update(config.name, without);
      expect(await there.ids()).toHaveLength(1);
    } finally {
      process.kill(austin.pid, "SIGCONT");
    }
  }

  const restarted = async () => {
    const now = await readRunningProcess(pidFile);
    return now !== null && now.pid !== before?.pid;
  };
  await waitFor(restarted, { what: "a restart", deadlineMs: 120_000 });
  await mesh.flowing();
  expect(await austin.log()).toContain(`somebody besides the source listens to ${SUBJECT}`);
  await arrivesOnce(load, await austin.app("acme"), "berlin.acme.v.>");
  await alarmIsOver(austin, "listener-left");
}, 300_000);

/** Entry of a thread of views. `supervisor.ts` starts it as a `Worker`. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { errorText } from "../../model/errors.ts";
import { connectionOptions } from "../../nats/control_connection.ts";
import { signingKeyOf } from "../../nats/keys.ts";
import { AskedLease, UNLIMITED, type WriteLease } from "../write_lease.ts";
import { ViewHost } from "./host.ts";
import type { ThreadConnection, ThreadReport, ThreadRequest } from "./messages.ts";

/** A thread's global scope, as far as it is used: the types of a browser's page and of Deno know none. */
interface ThreadScope {
  postMessage(report: ThreadReport): void;
  addEventListener(type: "message", listen: (event: { readonly data: ThreadRequest }) => void): void;
}

const scope = globalThis as unknown as ThreadScope;
const post = (report: ThreadReport) => scope.postMessage(report);
let host: Promise<ViewHost> | null = null;

/** How often the thread asks whether it may write: several times within any answer. */
const LEASE_MS = 150;
let lease: AskedLease | null = null;

function writeLease(fenced: boolean): WriteLease {
  if (!fenced) return UNLIMITED;
  const asked = new AskedLease((at) => post({ type: "lease", asked: at }));
  lease = asked;
  asked.ask();
  setInterval(() => asked.ask(), LEASE_MS);
  return asked;
}

async function open({ site, server, seed }: ThreadConnection, fenced: boolean): Promise<ViewHost> {
  const mayWrite = writeLease(fenced);
  const options = connectionOptions(site, server, signingKeyOf(seed), { name: `leafmesh ${site} views` });
  const nc = await connect(options);
  return new ViewHost({ nc, jsm: await jetstreamManager(nc, { checkAPI: false }), site, post, mayWrite });
}

async function handle(request: ThreadRequest): Promise<void> {
  if (request.type === "ping") {
    post({ type: "alive" });
    return;
  }
  if (request.type === "lease") {
    lease?.answered(request.asked, request.ms);
    return;
  }
  if (request.type === "open") host = open(request.connection, request.fenced);
  const opened = await host;
  if (request.type !== "open") await opened?.handle(request);
}

scope.addEventListener("message", (event) => {
  handle(event.data).catch((error: unknown) => post({ type: "failed", message: errorText(error) }));
});

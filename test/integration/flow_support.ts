/** A real nats-server with the streams of one tenant, for the tests of src/flow. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ConsumerConfig,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { dlqSpec, viewConsumerSpec, viewSpec } from "../../src/control/assets.ts";
import { planExports } from "../../src/control/routes.ts";
import { startView, type View, type ViewOptions } from "../../src/flow/view_worker.ts";
import { desiredTenant } from "../../src/model/desired.ts";
import type { Decision, MeshEvent } from "../../src/model/event.ts";
import { outStream, storedSubject, tenantSubjects, viewStream } from "../../src/model/names.ts";
import { nanos } from "../../src/model/units.ts";
import { findServer } from "../../src/nats/find.ts";
import { freePorts } from "../support/free_ports.ts";

export const SITE = "tokyo";
export const TENANT = "acme";
export const POLICY = "eu";

/** The streams and the consumer that a site has for a view of `acme.>`, in the shapes of JetStream's API. */
export function flowSpecs(policy: string = POLICY) {
  const exported = {
    name: policy,
    to: ["austin"],
    rules: [{ subjects: [`${TENANT}.>`], when: "size >= 0" }],
  };
  const limits = { whenFull: "refuse", maxMsgSize: "8MiB" } as const;
  const tenant = desiredTenant({ tenant: TENANT, limits, exports: [exported] });
  const [plan] = planExports({ site: SITE, peers: [], tenants: [tenant] });
  if (plan === undefined) throw new Error("no export");
  return {
    view: viewSpec(SITE, plan) as StreamConfig,
    consumer: viewConsumerSpec(plan) as ConsumerConfig,
    dlq: dlqSpec(tenant) as StreamConfig,
  };
}

/** Waits until `check` holds. */
export async function until(
  check: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`Timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class TestServer implements AsyncDisposable {
  readonly port: number;
  readonly #dir: string;
  readonly #config: string;
  #process: ChildProcess | null = null;
  readonly #connections: NatsConnection[] = [];

  private constructor(port: number, dir: string, extra: string) {
    this.port = port;
    this.#dir = dir;
    this.#config = join(dir, "nats.conf");
    this.configure(extra);
  }

  /** More of a configuration, from the next start on. */
  configure(extra: string): void {
    writeFileSync(
      this.#config,
      `server_name: ${SITE}\nlisten: "127.0.0.1:${this.port}"\njetstream { store_dir: "${this.#dir}/js", domain: ${SITE}, sync_interval: always }\n${extra}\n`,
    );
  }

  static async start(extra = ""): Promise<TestServer> {
    const [port = 0] = await freePorts("127.0.0.1", 1);
    const server = new TestServer(port, mkdtempSync(join(tmpdir(), "leafmesh-flow-")), extra);
    await server.up();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async up(): Promise<void> {
    const { path } = await findServer();
    this.#process = spawn(path, ["-c", this.#config, "-l", join(this.#dir, "server.log")], {
      stdio: "ignore",
    });
    await until(async () => {
      try {
        const nc = await connect({ servers: this.url, reconnect: false, timeout: 500 });
        const jsm = await jetstreamManager(nc);
        await jsm.getAccountInfo();
        await nc.close();
        return true;
      } catch {
        return false;
      }
    }, "nats-server answers");
  }

  /** Kills the server as a crash would. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (process === null) return;
    const gone = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await gone;
  }

  async connect(): Promise<NatsConnection> {
    const nc = await connect({
      servers: this.url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      reconnectJitter: 10,
    });
    this.#connections.push(nc);
    return nc;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const nc of this.#connections) await nc.close().catch(() => {});
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Creates `out_acme`, the view with its consumer, and the dead-letter stream unless told otherwise. */
export async function createStreams(
  jsm: JetStreamManager,
  options: {
    readonly policy?: string;
    readonly outWindowMs?: number;
    readonly dlq?: boolean;
    readonly view?: Partial<StreamConfig>;
    readonly out?: Partial<StreamConfig>;
  } = {},
): Promise<void> {
  const policy = options.policy ?? POLICY;
  await jsm.streams.add({
    name: outStream(TENANT),
    subjects: [storedSubject(SITE, tenantSubjects(TENANT))],
    duplicate_window: nanos(options.outWindowMs ?? 120_000),
    allow_batched: true,
    ...options.out,
  } as StreamConfig & { name: string });
  const { view, consumer, dlq } = flowSpecs(policy);
  await jsm.streams.add({ ...view, ...options.view });
  await jsm.consumers.add(outStream(TENANT), consumer);
  if (options.dlq !== false) await jsm.streams.add(dlq);
}

/** A view of {@link POLICY}, decided by {@link decideBySubject} in version `v1` unless told otherwise. */
export function startTestView(
  nc: NatsConnection,
  jsm: JetStreamManager,
  over: Partial<ViewOptions> = {},
): View {
  return startView({
    nc,
    jsm,
    site: SITE,
    tenant: TENANT,
    policy: POLICY,
    decide: decideBySubject,
    version: "v1",
    ...over,
  });
}

/** A server with the streams of {@link createStreams}, and a connection to it. */
export async function startFlowSite(options: Parameters<typeof createStreams>[1] = {}, config = "") {
  const server = await TestServer.start(config);
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await createStreams(jsm, options);
  return {
    server,
    nc,
    jsm,
    view: (over: Partial<ViewOptions> = {}): View => startTestView(nc, jsm, over),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Publishes without waiting for each, and waits for all at the end. Subjects are those of the tenant. */
export async function publishAll(
  nc: NatsConnection,
  events: Iterable<{ readonly subject: string; readonly data: string | Uint8Array; readonly id?: string }>,
): Promise<void> {
  const { headers } = await import("@nats-io/transport-node");
  let waiting: Promise<unknown>[] = [];
  for (const event of events) {
    const h = headers();
    if (event.id !== undefined) h.set("Nats-Msg-Id", event.id);
    waiting.push(
      nc
        .request(storedSubject(SITE, event.subject), event.data, { timeout: 20_000, headers: h })
        .then((m) => {
          const body: unknown = m.json();
          if (typeof body === "object" && body !== null && "error" in body) throw new Error(m.string());
        }),
    );
    if (waiting.length >= 512) {
      await Promise.all(waiting);
      waiting = [];
    }
  }
  await Promise.all(waiting);
}

export interface StoredEvent {
  readonly seq: number;
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: string;
}

/** All messages of a stream, in order. */
export async function readAll(jsm: JetStreamManager, stream: string): Promise<StoredEvent[]> {
  const info = await jsm.streams.info(stream);
  const out: StoredEvent[] = [];
  if (info.state.messages === 0) return out;
  const { jetstream } = await import("@nats-io/jetstream");
  const nc = (jsm as unknown as { nc: NatsConnection }).nc;
  const consumer = await jetstream(nc).consumers.get(stream);
  for await (const m of await consumer.consume({ max_messages: 5000 })) {
    const headers: Record<string, string> = {};
    for (const [name, values] of m.headers ?? []) headers[name] = values[0] ?? "";
    out.push({ seq: m.seq, subject: m.subject, headers, data: m.string() });
    if (m.info.pending === 0) break;
  }
  await consumer.delete().catch(() => {});
  return out;
}

/** The view's messages. */
export const readView = (jsm: JetStreamManager, policy = POLICY): Promise<StoredEvent[]> =>
  readAll(jsm, viewStream(TENANT, policy));

/** Forwards all as it is. */
export function forwardAll(event: MeshEvent): Decision {
  return {
    type: "forward",
    rule: { policy: POLICY, index: 0, name: "#1" },
    subject: event.subject,
    headers: event.headers,
    data: event.data,
    redactions: 0,
  };
}

/**
 * Decides by the subject: `….drop…` is denied, `….none…` has no rule, `….bad…` is put aside, all else is forwarded.
 */
export function decideBySubject(event: MeshEvent): Decision {
  const rule = { policy: POLICY, index: 0, name: "#1" };
  if (event.subject.includes(".drop")) return { type: "drop", rule, reason: "denied" };
  if (event.subject.includes(".none")) return { type: "drop", rule: null, reason: "no_rule" };
  if (event.subject.includes(".bad")) {
    return { type: "quarantine", rule, reason: "payload_not_json", error: "not JSON\r\nat byte 1" };
  }
  const { subject, headers, data } = event;
  return { type: "forward", rule, subject, headers, data, redactions: 1 };
}

/** The sidecar's two connections to its own server: one in MESH, one in the system account. */
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { MESH_ACCOUNT, SYSTEM_ACCOUNT } from "../model/names.ts";
import type { SigningKey, SiteKeys } from "./keys.ts";
import { SystemApi } from "./system_api.ts";

const CONNECT_DEADLINE_MS = 5_000;
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;
const PING_INTERVAL_MS = 10_000;
const CLOSE_DEADLINE_MS = 2_000;

/** What became of a connection. */
export interface ConnectionEvent {
  readonly type: "disconnected" | "reconnected" | "closed" | "error";
  readonly account: typeof MESH_ACCOUNT | typeof SYSTEM_ACCOUNT;
  readonly message: string;
}

export interface ControlConnectionOptions {
  readonly site: string;
  /** `host:port`, or a URL of an external server. */
  readonly server: string;
  readonly keys: Pick<SiteKeys, "mesh" | "sys">;
  /** Whether the site has several servers. Default false. */
  readonly clustered?: boolean;
  readonly onEvent?: (event: ConnectionEvent) => void;
}

/** So far back that the client takes no time of its last attempt for one to wait for. */
const AT_ONCE = -Number.MAX_SAFE_INTEGER;

/**
 * How long the client is to wait before it connects again. The client counts from its last attempt by the wall clock: where that was
 * ahead then, and was set right since, it would wait for as long as it was ahead. So the time is kept here, by a clock that
 * only goes forward. Source: nats-core `protocol.ts`, dialLoop.
 * @param clock milliseconds that have gone by
 */
export function steadyWait(waitMs: number, clock: () => number = () => performance.now()): () => number {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    const now = clock();
    const left = last + waitMs - now;
    if (left > 0) return Math.ceil(left);
    last = now;
    return AT_ONCE;
  };
}

/** Options of a connection that is never given up; the caller's fields win. */
export function connectionOptions(
  site: string,
  server: string,
  key: SigningKey,
  more: ConnectionOptions = {},
): ConnectionOptions {
  return {
    servers: server,
    name: `leafmesh ${site}`,
    authenticator: key.authenticator,
    timeout: CONNECT_DEADLINE_MS,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: steadyWait(RECONNECT_WAIT_MS + Math.random() * RECONNECT_JITTER_MS),
    // A server that restarts may refuse for a moment what it will grant again.
    ignoreAuthErrorAbort: true,
    ignoreClusterUpdates: true,
    pingInterval: PING_INTERVAL_MS,
    ...more,
  };
}

/** Both connections. Disposing of it drains them. */
export class ControlConnection implements AsyncDisposable {
  readonly mesh: NatsConnection;
  readonly sys: NatsConnection;
  /** Requests to the server itself: reload, kick, leaf links, accounts. */
  readonly system: SystemApi;

  readonly #clustered: boolean;

  private constructor(mesh: NatsConnection, sys: NatsConnection, clustered = false) {
    this.mesh = mesh;
    this.sys = sys;
    this.#clustered = clustered;
    this.system = new SystemApi(sys, clustered);
  }

  /**
   * Connects as the sidecar's users. Later losses are mended for ever.
   *
   * @throws LeafmeshError `server_failed` when the server cannot be reached or does not know the keys
   */
  static async open(options: ControlConnectionOptions): Promise<ControlConnection> {
    const sys = await open(options, SYSTEM_ACCOUNT, options.keys.sys);
    try {
      const mesh = await open(options, MESH_ACCOUNT, options.keys.mesh);
      return new ControlConnection(mesh, sys, options.clustered);
    } catch (thrown) {
      await sys.close();
      throw thrown;
    }
  }

  /** The same with what keeps it from being used at the wrong time: both connections are changed, for good. */
  guarded(guard: (nc: NatsConnection) => NatsConnection): ControlConnection {
    return new ControlConnection(guard(this.mesh), guard(this.sys), this.#clustered);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([drain(this.mesh), drain(this.sys)]);
  }
}

async function open(
  options: ControlConnectionOptions,
  account: ConnectionEvent["account"],
  key: SigningKey,
): Promise<NatsConnection> {
  let connection: NatsConnection;
  try {
    connection = await connect(connectionOptions(options.site, options.server, key));
  } catch (thrown) {
    throw new LeafmeshError(
      "server_failed",
      `Cannot connect to nats-server at ${options.server} as user ${key.publicKey} of ${account}: ${errorText(thrown)}`,
      { cause: thrown },
    );
  }
  if (options.onEvent !== undefined) void report(connection, account, options.onEvent);
  return connection;
}

async function report(
  connection: NatsConnection,
  account: ConnectionEvent["account"],
  onEvent: (event: ConnectionEvent) => void,
): Promise<void> {
  for await (const status of connection.status()) {
    switch (status.type) {
      case "disconnect":
        onEvent({ type: "disconnected", account, message: `lost ${status.server}` });
        break;
      case "reconnect":
        onEvent({ type: "reconnected", account, message: `back at ${status.server}` });
        break;
      case "error":
        onEvent({ type: "error", account, message: errorText(status.error) });
        break;
      default:
        break;
    }
  }
  onEvent({ type: "closed", account, message: "closed" });
}

/** Drains what is connected; a connection that is down cannot drain and is closed. */
async function drain(connection: NatsConnection): Promise<void> {
  if (connection.isClosed()) return;
  const timer = setTimeout(() => void connection.close(), CLOSE_DEADLINE_MS);
  try {
    await connection.drain();
  } catch {
    await connection.close();
  } finally {
    clearTimeout(timer);
  }
}

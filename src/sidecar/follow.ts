/** A sidecar of a clustered site that does not lead: keeps the server beside it as the state wants it. */
import { jetstream } from "@nats-io/jetstream";
import { checkState } from "../control/check_state.ts";
import { rememberState } from "../control/remembered.ts";
import { ServerFollower } from "../control/server_follower.ts";
import { SiteServer } from "../control/site_server.ts";
import { KvStateStore } from "../control/state_store.ts";
import { errorText } from "../model/errors.ts";
import { linkMode } from "../model/links.ts";
import type { Peer } from "../model/schema/site.ts";
import { publicKeys } from "../nats/keys.ts";
import { sleep } from "../nats/wait.ts";
import { CertificateWatch } from "./certificate_watch.ts";
import { replicasOf } from "./cluster.ts";
import type { Foundation, PreparedServer } from "./foundation.ts";
import { certificateReports } from "./links.ts";

const AGAIN_MS = 500;

/** Follows the state for one server. Disposing of it leaves the server as it is. */
export class FollowedServer implements AsyncDisposable {
  readonly #foundation: Foundation;
  readonly #prepared: PreparedServer;
  readonly #server: SiteServer;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  /** What the server was last said to lack. */
  #unwell = "";

  constructor(foundation: Foundation, prepared: PreparedServer) {
    this.#foundation = foundation;
    this.#prepared = prepared;
    const { server, inForce } = prepared;
    this.#server = new SiteServer({
      system: server.connection.system,
      render: server.render,
      // Each has files of its own: nobody else changes them.
      write: (config) => server.write(config, async () => {}),
      verify: server.verify,
      remember: (state) => rememberState(foundation.folder.path, state),
      inForce,
      now: () => new Date(),
    });
    this.#running = this.#run();
  }

  /** The server with what it has in force, or may have. */
  get prepared(): PreparedServer {
    return { ...this.#prepared, inForce: this.#server.inForce };
  }

  /**
   * Why the server is not yet as the site needs it; none: another one may be stopped. They are told to who has no token: what
   * names streams, and with them tenants, is in the log alone.
   */
  async reasons(): Promise<readonly string[]> {
    const { system } = this.#prepared.server.connection;
    const health = await system.health().catch((error: unknown) => ({ ok: false, error: errorText(error) }));
    const unwell = health.ok ? "" : health.error;
    if (unwell !== "" && unwell !== this.#unwell) {
      this.#foundation.options.log("info", "nats", `the server is not ready: ${unwell}`);
    }
    this.#unwell = unwell;
    return [
      ...(health.ok ? [] : ["nats-server is not ready, the log says why"]),
      ...(this.#server.inForce.state.closed === true ? ["nobody is let in before the state is read"] : []),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    const { log } = this.#foundation.options;
    for (let said = ""; !signal.aborted; ) {
      try {
        await this.#follow(signal);
        return;
      } catch (error) {
        // The one that leads has yet to make the state, or most of the servers are away.
        if (said !== errorText(error))
          log("info", "nats", `waits for the state of the site: ${errorText(error)}`);
        said = errorText(error);
        await sleep(AGAIN_MS, signal);
      }
    }
  }

  /** The certificate of this server's links is renewed here: the one that leads has another one. */
  #watchCertificates(peers: () => readonly Peer[], renewed: () => void): CertificateWatch | null {
    const { file, log } = this.#foundation.options;
    const settings = file.server ?? {};
    if (linkMode(settings) === "plain") return null;
    const { pki } = this.#prepared;
    return new CertificateWatch({
      pki,
      certificates: () => certificateReports(settings, pki, peers(), new Date()),
      renewed,
      log: (level, message) => log(level, "links", message),
      now: () => new Date(),
    });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { options, member } = this.#foundation;
    const { file, log } = options;
    const { site } = file;
    const { server, keys } = this.#prepared;
    const nc = server.connection.mesh;
    let changed = () => {};
    await using state = await KvStateStore.open({
      site,
      js: jetstream(nc),
      replicas: replicasOf(file.server ?? {}),
      seed: null,
      check: (name, tenants, peers) => checkState(name, tenants, peers, publicKeys(keys), file),
      onChange: () => changed(),
    });
    await using follower = new ServerFollower({
      site,
      member,
      nc,
      desired: () => state.desired(),
      server: this.#server,
      log: (level, message) => log(level, "nats", message),
    });
    await using _store = this.#prepared.server.watchStore((restart) => restart());
    using certificates = this.#watchCertificates(
      () => state.desired().state.peers,
      () => follower.changed(),
    );
    await certificates?.look();
    changed = () => follower.changed();
    changed();
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    changed = () => {};
  }
}

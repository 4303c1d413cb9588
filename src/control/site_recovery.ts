/** What is done when a store is an older copy, here or at a peer, or could not be written: positions are looked at, and sources go back. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { consumerResetSubject, resetConsumer } from "../nats/consumer_reset.ts";
import type { Peers } from "./agreement.ts";
import type { Reconciler } from "./reconcile.ts";
import { AgainAsk, takeOutAgain } from "./rollback/again.ts";
import { holdRoutes } from "./rollback/held.ts";
import { RewindAsk, rewindSource } from "./rollback/rewind.ts";
import { planInRoutes } from "./routes.ts";
import type { SiteControlOptions } from "./site_options.ts";
import { detachSources, whenThere } from "./source_repair.ts";
import type { SourceWaits } from "./source_waits.ts";

/** How long the server may take to have a consumer go on elsewhere, and what it is when it does not. */
const RESET_HERE = { timeoutMs: 2000, code: "apply_failed" } as const;

/** Another sidecar waits for a pass here, and then for its server. */
const REWIND_BEGINS_MS = 1000;

export interface SiteRecoveryOptions
  extends Pick<SiteControlOptions, "site" | "nc" | "mesh" | "tenant" | "server" | "rollbacks" | "log"> {
  readonly reconciler: Reconciler;
  readonly desired: () => DesiredState;
  /** What is known of the peers. */
  readonly knowledge: () => Peers;
  /** Is told which sources are taken out. */
  readonly waits: SourceWaits;
}

export interface RestartOptions {
  /** When the server started, or a little earlier, milliseconds of `performance.now()`; default: not known. */
  readonly startedAt?: number | undefined;
  /** Gives up what is tried again. */
  readonly signal?: AbortSignal | undefined;
}

/** Has a consumer of MESH go on elsewhere. @throws {LeafmeshError} `apply_failed` when the server does not do it */
export async function resetHere(
  nc: NatsConnection,
  stream: string,
  consumer: string,
  sequence: number | null,
): Promise<string> {
  const subject = consumerResetSubject(stream, consumer);
  return (await resetConsumer(nc, subject, sequence, RESET_HERE)).identity;
}

function stillQuiet(error: unknown): LeafmeshError {
  const code = error instanceof LeafmeshError ? error.code : "server_failed";
  const what = "nats-server runs without links and takes nothing from apps until its store was looked at";
  return new LeafmeshError(code, `${what}, which failed: ${errorText(error)}`, { cause: error });
}

/** Brings routes and logs of a site to where its store is. */
export class SiteRecovery {
  readonly #options: SiteRecoveryOptions;

  constructor(options: SiteRecoveryOptions) {
    this.#options = options;
  }

  /**
   * Restarts a server, for example one that could not write, and has what is sourced go on after what is stored. Where that fails, nothing flows until
   * it is done again.
   * @throws LeafmeshError `server_failed`
   */
  async restartServer(
    restart: () => Promise<void>,
    { startedAt, signal }: RestartOptions = {},
  ): Promise<void> {
    const { site, nc, mesh, tenant, server, log, rollbacks, reconciler, waits } = this.#options;
    const reset = (stream: string, consumer: string, sequence: number | null) =>
      resetHere(nc, stream, consumer, sequence);
    const there = { log, signal };
    // A pass under way would put sources in again that are taken out meanwhile.
    await reconciler.between(async () => {
      rollbacks.restarting();
      await server.restartQuiet(restart, async (state) => {
        try {
          await whenThere(() => holdRoutes(mesh, rollbacks.holds), there);
          await whenThere(() => rollbacks.look(state), there);
          const context = { site, mesh, tenant, reset, log, waits, startedAt };
          await whenThere(() => detachSources(context, state), there);
        } catch (error) {
          throw stillQuiet(error);
        }
      });
    });
  }

  /**
   * Holds the store of a server that went on, or that somebody else runs, against what was noted of it. Where it is an older
   * copy, peers are asked before they get more.
   */
  async look(): Promise<void> {
    const { mesh, rollbacks, desired } = this.#options;
    await rollbacks.look(desired(), () => holdRoutes(mesh, rollbacks.holds));
  }

  /** A peer whose store is an older copy has its source here go back. @throws {LeafmeshError} `request_invalid`, `timeout` */
  async rewind(peer: string, body: unknown): Promise<void> {
    const asked = RewindAsk.safeParse(body);
    if (!asked.success) throw new LeafmeshError("request_invalid", "the body is not what the verb takes");
    const { mesh, rollbacks, reconciler, desired, knowledge } = this.#options;
    await reconciler.betweenWithin(REWIND_BEGINS_MS, async () => {
      await rewindSource(
        { mesh, note: rollbacks.rewound },
        planInRoutes(desired(), knowledge()),
        peer,
        asked.data,
      );
    });
    rollbacks.exporterBack(peer, asked.data);
    reconciler.trigger();
  }

  /** A peer whose consumer stands behind what is stored here has its source taken up again. @throws {LeafmeshError} `request_invalid`, `timeout` */
  async again(peer: string, body: unknown): Promise<void> {
    const asked = AgainAsk.safeParse(body);
    if (!asked.success) throw new LeafmeshError("request_invalid", "the body is not what the verb takes");
    const { mesh, tenant, waits, reconciler, log } = this.#options;
    const { stream } = asked.data;
    log("warn", `${peer} stands behind what is stored here of ${stream}: it is taken up again after that`);
    await reconciler.betweenWithin(REWIND_BEGINS_MS, async () => {
      await takeOutAgain({ mesh, tenant, waits }, peer, asked.data);
    });
    reconciler.trigger();
  }
}

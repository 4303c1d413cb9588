/** A view's worker as others see it. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Decision, MeshEvent } from "../model/event.ts";
import type { FlowCounts } from "./ledger.ts";
import type { QuotaSpecs } from "./quota.ts";
import type { Redriven } from "./redrive_queue.ts";
import type { WriteLease } from "./write_lease.ts";

export interface ViewOptions {
  /** Connection as the user of the MESH account. The worker does not close it. */
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly site: string;
  readonly tenant: string;
  /** Name of the export policy. */
  readonly policy: string;
  readonly decide: (event: MeshEvent) => Decision;
  /** Version of the policy; stands in every event of the view. */
  readonly version: string;
  /** What the policy lets through; default: everything. */
  readonly quotas?: QuotaSpecs;
  /** Default: the names that src/model/names.ts gives. */
  readonly sourceStream?: string;
  readonly viewStream?: string;
  readonly consumer?: string;
  readonly limits?: {
    /** Messages of one pull request; at most three times as many wait in memory. Default 2000. */
    readonly pullBatch?: number;
    /** Bytes of one pull request; at most three times as many wait in memory. Default 4 MiB. */
    readonly pullBytes?: number;
    /** Of these, the share that this view may have now: those that share a thread share its memory. Default 1. */
    readonly share?: () => number;
  };
  readonly log?: (message: string) => void;
  /** Whether the view may be written now. Default: always. */
  readonly mayWrite?: WriteLease;
  /** Stops the worker as `stop` does. */
  readonly signal?: AbortSignal;
}

/**
 * - `starting`: reads its position or waits for the server
 * - `running`: moves events, or waits for new ones
 * - `stalled`: cannot go on, and lets nothing pass, until `lastError` is gone; it tries again by itself
 * - `standby`: another worker is at it; takes over when that one goes away
 * - `stopped`
 */
export type ViewState = "starting" | "running" | "stalled" | "standby" | "stopped";

export interface ViewStats extends Readonly<FlowCounts> {
  readonly state: ViewState;
  /** Sequence of the source stream up to which every event is stored in the view, dropped or dead-lettered. */
  readonly position: number;
  /** Why the last session ended; `null` when none has, or since events move again. */
  readonly lastError: string | null;
  readonly version: string;
  /** How often the worker has had to start again. */
  readonly restarts: number;
  /** The limit that the view waits for; `null` when it does not. */
  readonly deferral: string | null;
  /** Events that were read and have not been decided or passed on yet. */
  readonly waiting: number;
  /** Events that retention dropped from the source before the worker could take them; those that it does not read count too. */
  readonly missed: number;
}

export interface View extends AsyncDisposable {
  readonly stats: () => ViewStats;
  /**
   * Decides all later events with another policy. Nothing is lost or repeated. Filters of the durable consumer that have
   * changed take effect at once too; change them before.
   * @returns source sequence of the last event that is decided by the policy before it, if its storing does not fail
   */
  readonly setDecider: (
    decide: (event: MeshEvent) => Decision,
    version: string,
    quotas?: QuotaSpecs,
  ) => number;
  /**
   * Decides dead letters again, in this order, and removes those that the view has stored or the policy drops. A dry run
   * only says what would become of them.
   * @returns what has become of each; `null` where it is not known: ask again, it is not sent twice
   * @throws LeafmeshError `conflict` while the view is not running
   */
  readonly redrive: (sequences: readonly number[], dryRun: boolean) => Promise<readonly (Redriven | null)[]>;
  /** Stores what is decided and records the position. @returns source sequence up to which all is dealt with */
  readonly stop: () => Promise<number>;
}

/** What {@link Members} is given, and what it tells. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { ProcessMark } from "./heartbeat.ts";

export interface MembersOptions {
  readonly nc: NatsConnection;
  readonly name: string;
  readonly version: string;
  readonly api: () => string;
  /** Of the keys that all members must have; read again when another one has others. */
  readonly keys: () => Promise<string>;
  readonly process: ProcessMark;
  /** Whether a process of this machine runs. */
  readonly isRunning: (mark: ProcessMark) => Promise<boolean>;
  /**
   * Whether no other member can be there, as the data folder says that all of them would share. Where it is given, one that
   * is alone leads whatever the server says: it is the one to mend it.
   */
  readonly alone?: () => Promise<boolean>;
  readonly replicas?: () => number;
  /** Whether nobody can have led since the server runs: this process has started it. */
  readonly fresh?: boolean;
  /** The views that run here, with the version of the policy of each. */
  readonly views: () => ReadonlyMap<string, string>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Milliseconds of a monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

/** A sidecar of the site, as this one sees it. */
export interface Member {
  readonly name: string;
  readonly instance: string;
  readonly alive: boolean;
  /** Its process has ended, for certain. */
  readonly gone: boolean;
  readonly leads: boolean;
  readonly self: boolean;
  readonly version: string;
  readonly api: string;
  readonly views: Readonly<Record<string, string>>;
  /** Whether it runs views that another one gives to it. */
  readonly sharesViews: boolean;
}

/** What has changed: who leads, or who lives. */
export type MembersChange = "leader" | "members";

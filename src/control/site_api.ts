/** The site as the API reports it: its server, its store, its links. */
import type { AlarmCount } from "../model/alarms.ts";

/** The site itself, without its links and routes. */
export interface SiteReport {
  readonly site: string;
  /** Public site key, to give to peers. */
  readonly key: string;
  /** Of Leafmesh. */
  readonly version: string;
  /** With its version, for example `bun 1.4.5`. */
  readonly runtime: string;
  /** Of the desired state: grows with every change. */
  readonly revision: number;
  readonly server: {
    readonly mode: "embedded" | "external";
    readonly version: string;
    readonly id: string;
    readonly pid: number | null;
    readonly listen: string;
    readonly leaf: string;
    /** Where clients of MQTT and WebSocket connect; `null`: nowhere. */
    readonly mqtt: string | null;
    readonly websocket: string | null;
    readonly sync: string;
  };
  /** When the sidecar started, RFC 3339. */
  readonly startedAt: string;
  /** The last pass left nothing to do. */
  readonly converged: boolean;
  /** How many alarms are raised. */
  readonly alarms: AlarmCount;
  /** `null`: the disk is not this machine's, or was not looked at yet. */
  readonly store: StoreReport | null;
  readonly memory: MemoryReport;
  readonly links: LinksReport;
}

/** The disk under the store, and what tenants may take of it. */
export interface StoreReport {
  /** `low`: about to be full. `stopped`: a write has failed, and the server stores nothing, or nothing in some streams. */
  readonly state: "ok" | "low" | "stopped";
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** What the streams take. */
  readonly usedBytes: number;
  /** What all tenants together may take at most. */
  readonly budgetBytes: number;
}

/** The sidecar's own memory. */
export interface MemoryReport {
  /** What the process takes (RSS). */
  readonly usedBytes: number;
  /** Above it an alarm is raised. */
  readonly limitBytes: number;
}

/** A certificate of this site, or one that it trusts. */
export interface CertificateReport {
  /** `ca`: of this site's CA. `link`: what it shows on its links. `peer_ca`: of a peer's CA. */
  readonly kind: "ca" | "link" | "peer_ca";
  /** `null`: this site's own. */
  readonly peer: string | null;
  /** SHA-256 of its public key, hex. */
  readonly fingerprint: string;
  /** RFC 3339. */
  readonly notAfter: string;
  /** What must be done, soon; `null`: nothing. */
  readonly problem: string | null;
}

/** How this site speaks its links, and whom it trusts. */
export interface LinksReport {
  readonly mode: "tls" | "plain";
  /** What peers dial, `host:port`. */
  readonly advertise: string;
  /** This site's CA, PEM, to give to peers; while it rotates both. */
  readonly ca: string;
  readonly certificates: readonly CertificateReport[];
}

/**
 * Alarms: dangers that somebody must see to. One table says of each what it means and what to do; who finds a danger raises
 * it through {@link AlarmPort}. An alarm is what is observed now: after a restart those that still hold are raised again.
 */

/** `critical`: events are lost, may leave where they must not, or soon will. `warning`: they will be, if nobody looks. */
export type AlarmSeverity = "warning" | "critical";

interface AlarmRow {
  readonly severity: AlarmSeverity;
  /** What it means, one sentence. */
  readonly means: string;
  /** What to do about it, short; `docs/runbook.md` says it at length. */
  readonly todo: string;
}

/** Every alarm by its name, which is stable. */
export const ALARMS = {
  "retention-ahead": {
    severity: "warning",
    means: "Retention is about to drop events that a peer has not received",
    todo: "bring the peer or its link back, or raise limits.maxAge or limits.storage of the tenant",
  },
  "retention-lost": {
    severity: "critical",
    means: "Retention has dropped events that a peer, or a view, had not received",
    todo: "bring the peer back, raise the limits of the tenant, and publish what was dropped again",
  },
  "link-down": {
    severity: "warning",
    means: "There has been no link with a peer for a while",
    todo: "see 'leafmesh links' for why; events wait here as long as retention keeps them",
  },
  "peer-not-proved": {
    severity: "critical",
    means: "Who is behind a link could not prove the key of the peer; nothing crosses",
    todo: "compare the peer's key with its owner; revoke it if it is not the peer's",
  },
  "route-not-moving": {
    severity: "warning",
    means: "The link stands, but a route has not moved for a while",
    todo: "see 'leafmesh links' for why, here and at the peer",
  },
  "listener-left": {
    severity: "critical",
    means:
      "nats-server still listens for a source that is no more, of a stream here or at a peer: the route may stand still, or events be stored twice",
    todo: "an embedded server is restarted by itself; restart an external one, and those of a cluster one by one, see docs/runbook.md",
  },
  "log-not-moving": {
    severity: "critical",
    means: "Events that have arrived wait for a tenant's log, which takes none: its apps do not get them",
    todo: "it is attached again by itself; where that does not help, stop the sidecar with SIGTERM and start it again: its server starts anew",
  },
  "view-standing-still": {
    severity: "critical",
    means: "The worker of a view does not run: its peers get nothing, and events wait in the tenant's stream",
    todo: "see the last error in 'leafmesh links' and the log",
  },
  "replay-not-moving": {
    severity: "warning",
    means: "A replay that is not paused has not moved for a while",
    todo: "see 'leafmesh replay list' for why; the peer's import must say 'replay: true', and its link must stand",
  },
  "replay-failed": {
    severity: "warning",
    means: "A replay has ended before all of its range was sent",
    todo: "see the reason in the alarm, mend it, and replay the rest",
  },
  "dead-letters-growing": {
    severity: "warning",
    means: "A tenant's policies put many events aside as dead letters",
    todo: "see 'leafmesh dlq list' for the reason; mend the policy or the publisher, then redrive",
  },
  "dead-letters-full": {
    severity: "critical",
    means: "A tenant's dead letters have nearly used up their room; when it is full, its views stand still",
    todo: "redrive or drop dead letters",
  },
  "certificate-expiring": {
    severity: "warning",
    means: "A certificate of the links nears its end",
    todo: "a CA: 'leafmesh peer rotate --site-ca' at its site; the certificate of the links renews itself, see the log",
  },
  "certificate-expired": {
    severity: "critical",
    means: "A certificate of the links is good no more: links that need it cannot be made",
    todo: "a CA: 'leafmesh peer rotate --site-ca' at its site, 'leafmesh peer trust' where there is no link any more",
  },
  "rotation-held": {
    severity: "warning",
    means: "A rotation of the CA or the site key waits for peers that do not confirm it",
    todo: "bring the peers back, or go on without them: 'leafmesh peer rotate --finish'",
  },
  "store-low": {
    severity: "warning",
    means: "The disk under the store is nearly full",
    todo: "free some of it, or lower limits.storage of tenants",
  },
  "store-stopped": {
    severity: "critical",
    means: "nats-server could not write to its store, and refuses publishes",
    todo: "free some of the disk: the server is restarted once there is room",
  },
  "server-down": {
    severity: "critical",
    means: "nats-server does not answer, or says that it is not healthy",
    todo: "see the log; the keeper starts an embedded server again by itself",
  },
  "state-not-applied": {
    severity: "warning",
    means: "What the site should be could not be applied for a while",
    todo: "see 'leafmesh plan' and the log for the step that fails",
  },
  "budgets-exceed-disk": {
    severity: "warning",
    means: "The budgets of all tenants together are more than the disk can take",
    todo: "lower limits.storage or limits.streamStorage of tenants, or give the store a larger disk",
  },
  "budget-nearly-full": {
    severity: "warning",
    means: "A tenant that refuses when it is full has nearly used up its budget",
    todo: "raise limits.storage of the tenant, or shorten limits.maxAge",
  },
  "memory-high": {
    severity: "warning",
    means: "The sidecar's memory is above its limit",
    todo: "see docs/limits.md; restart the sidecar: native routes flow on meanwhile",
  },
  "exporter-rolled-back": {
    severity: "critical",
    means: "A stream that peers source from went back to an older copy: its sequences are used again",
    todo: "see the range in the alarm; publish those events again if they are known",
  },
  "importer-rolled-back": {
    severity: "critical",
    means:
      "A stream that sources from a peer went back to an older copy, here or at the peer, and lacks events that it had stored",
    todo: "see the range in the alarm; what the exporter still keeps is fetched again, or must be replayed where the alarm says so",
  },
  "stream-made-anew": {
    severity: "warning",
    means: "A stream of this site is gone with its events and was made anew",
    todo: "see the log for who removed it; peers read one of the site's own events from its begin, and one of remote events begins with what is new: have its exporters replay the rest",
  },
  "state-rolled-back": {
    severity: "critical",
    means: "The state of the site was an older copy; what had changed since is in force again",
    todo: "see the list in the alarm; events that were erased since may be back: erase them again",
  },
  "log-shifted": {
    severity: "critical",
    means: "A tenant's log was moved past events by somebody in the tenant's account",
    todo: "see the range in the alarm, and which users of the tenant may do this",
  },
  "sidecar-lost-lease": {
    severity: "warning",
    means: "A sidecar of the site does not renew its lease; others do its work",
    todo: "see why that sidecar stands still, and start it again",
  },
  "server-of-cluster-down": {
    severity: "critical",
    means: "A server of the site's cluster is gone: with one more the site stands still",
    todo: "bring the server back",
  },
  "server-of-cluster-unlinked": {
    severity: "warning",
    means: "A server of the site's cluster has no link with a peer, while others have",
    todo: "see that server's log for why; until then others lead what crosses that link",
  },
} as const satisfies Record<string, AlarmRow>;

export type AlarmName = keyof typeof ALARMS;

/** A danger as who found it tells it. */
export interface AlarmReport {
  /** What is in danger: with the name it identifies the alarm. For example `acme/orders/tokyo`. */
  readonly target: string;
  /** The tenant whose admin may see it; without one only who may see the whole site does. */
  readonly tenant?: string;
  readonly peer?: string;
  /** What was found, with its numbers; one sentence. */
  readonly detail: string;
}

/** An alarm that is raised. */
export interface Alarm {
  readonly name: AlarmName;
  readonly severity: AlarmSeverity;
  readonly target: string;
  readonly tenant: string | null;
  readonly peer: string | null;
  readonly detail: string;
  readonly means: string;
  readonly todo: string;
  /** When this sidecar raised it, RFC 3339. */
  readonly since: string;
}

/** How alarms are raised. */
export interface AlarmPort {
  /** Raises an alarm, or tells news of one that is raised. */
  raise(name: AlarmName, report: AlarmReport): void;
  /** The danger is over; nothing where there was none. */
  clear(name: AlarmName, target: string): void;
}

/** How many alarms are raised. */
export interface AlarmCount {
  readonly critical: number;
  readonly warning: number;
}

/** Counts alarms by severity. */
export function countAlarms(alarms: readonly Alarm[]): AlarmCount {
  const critical = alarms.filter(({ severity }) => severity === "critical").length;
  return { critical, warning: alarms.length - critical };
}

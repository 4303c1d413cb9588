/** Links and the routes over them, as the API reports them. */

/** One tenant's flow to or from a peer. */
export interface RouteReport {
  readonly direction: "out" | "in";
  readonly tenant: string;
  /** Where the events were published. */
  readonly origin: string;
  /** The export whose rules decide, here or at the peer; `null`: the peer offers none. */
  readonly policy: string | null;
  readonly kind: "native" | "view" | "mirror";
  readonly stream: string;
  /** Patterns that cross, in the tenant's own subjects. */
  readonly subjects: readonly string[];
  /** Events can cross now. */
  readonly active: boolean;
  /** Events that wait to cross (out: not yet delivered; in: as the server reports it). */
  readonly lag: number;
  /** Events that crossed so far: out: acknowledged position; in: last position stored. */
  readonly position: number;
  /** When an event last crossed, RFC 3339. */
  readonly lastEvent: string | null;
  /** Events that retention dropped before they crossed; an upper bound. 0 is the promise. */
  readonly lost: number;
  /** Why nothing flows; `null` when it does. */
  readonly why: string | null;
  /** What the view's worker did since it started; `null` for other kinds. */
  readonly view: ViewReport | null;
}

/** What a view's worker did since it started, and how it stands. */
export interface ViewReport {
  /** The sidecar that runs it, by its member name; `null`: none does. */
  readonly member: string | null;
  /** `starting`, `running`, `stalled`, `standby` or `stopped`. */
  readonly state: string;
  /** Of the policy that it decides by. */
  readonly version: string;
  /** Sequence of the source stream up to which every event is decided and stored. */
  readonly position: number;
  readonly forwarded: number;
  /** Forwarded events that a redaction has changed. */
  readonly redacted: number;
  readonly denied: number;
  readonly quarantined: number;
  /** Quarantined events by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Dead letters that were decided again and forwarded. */
  readonly redriven: number;
  /** Events dropped because a limit was reached. */
  readonly limited: number;
  /** How long the view has waited for its limits, milliseconds. */
  readonly deferredMs: number;
  /** The limit that the view waits for now; `null` when it does not. */
  readonly deferral: string | null;
  /** Events that were read and not passed on yet. */
  readonly waiting: number;
  /** Events that retention dropped before the worker could take them; an upper bound. */
  readonly missed: number;
  /** Why it had to start again; `null` once events move. */
  readonly lastError: string | null;
}

/** The link with a peer, and all that flows over it. */
export interface LinkReport {
  readonly peer: string;
  readonly direction: "dial" | "accept";
  /** The URLs that are dialled, or `host:port` that the peer dialled from; `null` while there is no link. */
  readonly address: string | null;
  readonly connected: boolean;
  /** The peer proved its key: `yes`, `no` (refused, see `why`), `unknown` (not asked yet). */
  readonly verified: "yes" | "no" | "unknown";
  readonly rttMs: number | null;
  /** How hard what this site sends is compressed, as nats-server says it; `null` while there is no link. */
  readonly compression: string | null;
  /** When the peer's key was revoked, RFC 3339; `null` when it was not. */
  readonly revoked: string | null;
  /** Why the link is not what it should be; `null`: nothing is wrong. */
  readonly why: string | null;
  readonly routes: readonly RouteReport[];
}

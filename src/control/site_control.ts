/** The control plane of one site: joins state, peers, server and reconciler, and answers what the API asks. */
import { countAlarms } from "../model/alarms.ts";
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { LintReport } from "../model/finding.ts";
import type { KeyInfo, KeyKind } from "../model/keys.ts";
import type { MemberReport } from "../model/member.ts";
import type { Replay, ReplayNumbers } from "../model/replay.ts";
import type { RotationApi } from "../model/rotation.ts";
import type { ShadowNumbers } from "../model/shadow.ts";
import { AlarmWatch } from "./alarms/alarm_watch.ts";
import type { Alarms } from "./alarms/alarms.ts";
import { ClusterSight } from "./alarms/cluster.ts";
import type { SiteFacts } from "./alarms/dangers.ts";
import { oldestFrom } from "./alarms/oldest.ts";
import { replayNumbers, replayStands } from "./alarms/replays.ts";
import { memoryReport, readFacts, storeReport, type Watched } from "./alarms/site_facts.ts";
import type { ApplyReport, Control, PlanReport, UserReport } from "./api.ts";
import { Attachments } from "./attachments.ts";
import type { Audit } from "./audit/audit.ts";
import { joinAudit, refusedRequest } from "./audit/refusals.ts";
import type { DiffReport, DiffRequest, ShadowReport } from "./compare_api.ts";
import type { Erasures } from "./erasure/erasures.ts";
import type { ExplainReport, ExplainRequest } from "./explain_api.ts";
import { openGates } from "./gates.ts";
import { importPosition } from "./import_position.ts";
import type { LinkReport } from "./link_api.ts";
import { type LintFile, lintSite, lintTenant, lintText } from "./lint.ts";
import { Membership } from "./membership.ts";
import { offersTo } from "./offers.ts";
import { Peering } from "./peering.ts";
import { PolicyTrials } from "./policy_trials.ts";
import { Readiness } from "./readiness.ts";
import { type Planned, type Reconciler, reportPlan } from "./reconcile.ts";
import { type ReplayApi, Replays } from "./replay_api.ts";
import { ReplaySources } from "./replay_source.ts";
import { notRotating } from "./rotation/not_rotating.ts";
import type { SiteRotations } from "./rotation/site_rotations.ts";
import { acceptedOf, planInRoutes } from "./routes.ts";
import type { SiteReport } from "./site_api.ts";
import { SiteLinks } from "./site_links.ts";
import { SiteObserver } from "./site_observer.ts";
import type { SiteControlOptions } from "./site_options.ts";
import { siteReconciler } from "./site_reconciler.ts";
import { type RestartOptions, SiteRecovery } from "./site_recovery.ts";
import { SourceWaits } from "./source_waits.ts";
import type { KvStateStore } from "./state_store.ts";
import { NamedTurns } from "./turns.ts";
import { revokeUsers, UserExpiry } from "./user_expiry.ts";
import { reportUsers } from "./user_report.ts";

/** A dry run looks through streams before it is answered. */
const ERASE_AT_PEER_MS = 10_000;

/** What the API asks of a site, and what its sidecar has it do. */
export class SiteControl implements Control, AsyncDisposable {
  readonly state: KvStateStore;
  readonly #options: SiteControlOptions;
  readonly #peering: Peering;
  readonly #reconciler: Reconciler;
  readonly #readiness = new Readiness();
  readonly #observer: SiteObserver;
  readonly #links: SiteLinks;
  readonly #recovery: SiteRecovery;
  readonly #clusterSight = new ClusterSight();
  readonly #trials: PolicyTrials;
  readonly #membership: Membership;
  readonly #expiry: UserExpiry;
  readonly #alarmWatch: AlarmWatch;
  readonly #gates: Disposable;
  #erasures: Erasures | null = null;
  /** By stream of MESH: what changes its configuration. */
  readonly #streamTurns = new NamedTurns();
  readonly #replays: Replays;
  #rotations: SiteRotations | null = null;

  constructor(options: SiteControlOptions) {
    const { site, nc, key, mesh, log, rollbacks } = options;
    const desired = () => this.#desired();
    this.#options = options;
    this.state = options.state;
    this.#replays = new Replays(mesh, desired);
    this.#observer = new SiteObserver(options, desired);
    this.#peering = new Peering(nc, key, {
      site,
      peers: () => this.#desired().peers,
      accepted: (peer) => acceptedOf(this.#desired(), peer),
      offers: (peer) => (this.#reconciler.last === null ? null : offersTo(peer, this.#reconciler.last)),
      position: async (peer, tenant, stream) => {
        const imports = planInRoutes(this.#desired(), this.#peering.knowledge());
        const ask = { peer, tenant, stream };
        return await importPosition(mesh, await this.#observer.streams(), imports, ask, rollbacks.setbacks);
      },
      changed: () => this.#reconciler.trigger(),
      verbs: {
        erase: async (peer, body) => {
          if (this.#erasures === null) throw new LeafmeshError("peer_unreachable", "the site is starting");
          return await this.#erasures.asked(peer, body);
        },
        rewind: async (peer, body) => {
          await this.#recovery.rewind(peer, body);
          return {};
        },
        again: async (peer, body) => {
          await this.#recovery.again(peer, body);
          return {};
        },
        rotate: async (peer, body) => {
          if (this.#rotations === null) throw new LeafmeshError("peer_unreachable", "the site is starting");
          return await this.#rotations.heard(peer, body);
        },
      },
      refused: refusedRequest(options.audit, site),
    });
    const waits = new SourceWaits(() => performance.now(), options.adopted);
    const attachments = new Attachments();
    this.#reconciler = siteReconciler({
      options,
      desired,
      peering: this.#peering,
      observer: this.#observer,
      replays: this.#replays,
      configure: () => this.#configure(),
      waits,
      streamTurns: this.#streamTurns,
      attachments,
    });
    const knowledge = () => this.#peering.knowledge();
    this.#recovery = new SiteRecovery({
      ...options,
      reconciler: this.#reconciler,
      desired,
      knowledge,
      waits,
    });
    this.#links = new SiteLinks({ ...options, desired, peering: this.#peering });
    this.#trials = new PolicyTrials({ ...options, desired, knowledge });
    this.#membership = new Membership({
      ...options,
      audit: joinAudit(options.audit),
      configure: () => this.#configure(),
      cut: (peer) => options.server.cut(peer),
      requireSettled: () => this.#rotations?.requireSettled(),
      verified: (peer) => this.#links.isVerified(peer),
      settled: () => this.#reconciler.last !== null,
    });
    this.#expiry = new UserExpiry(() => void revokeUsers(options, this.#desired()));
    this.#alarmWatch = new AlarmWatch({
      alarms: options.alarms,
      facts: () => this.#facts(),
      patience: options.alarmLimits,
      horizon: { withinMs: options.alarmLimits.retentionWithinMs, share: options.alarmLimits.retentionShare },
      oldest: (stream, from, filters) => oldestFrom(mesh, stream, from, filters),
      log,
      clock: () => performance.now(),
    });
    this.#gates = openGates(options, attachments);
  }

  /** Something has changed: makes a pass soon, and lets the peers know. */
  changed(): void {
    void revokeUsers(this.#options, this.#desired());
    this.#expiry.sync(this.#desired());
    this.#options.rollbacks.keep(this.#desired());
    this.#reconciler.trigger();
    this.#trials.sync();
    for (const peer of this.#desired().peers) this.#peering.poke(peer.name);
  }

  /** Goes on with erasures that are not done. Before, peers that ask for one are told to wait. */
  async openErasures(): Promise<void> {
    const ask = (peer: string, body: unknown) => this.#peering.ask(peer, "erase", body, ERASE_AT_PEER_MS);
    this.#erasures = await this.#options.erasures({ ask, streamTurns: this.#streamTurns });
  }

  /** Goes on with replays that have not ended. Before the first pass, which makes and removes their streams. */
  async openReplays(): Promise<void> {
    const sources = new ReplaySources(
      () => this.#desired(),
      (tenant, policy) => this.#trials.optionsOf(tenant, policy),
    );
    const source = (replay: Replay) => sources.of(replay);
    this.#replays.open(await this.#options.replays({ source, changed: () => this.#reconciler.trigger() }));
  }

  get replays(): ReplayApi {
    return this.#replays;
  }

  /** Goes on with rotations that are not done. Before, peers that tell of one are told to wait. */
  async openRotations(): Promise<void> {
    this.#rotations = await this.#options.rotations({
      peers: () => this.#desired().peers,
      ask: async (peer, body, withinMs) => await this.#peering.ask(peer, "rotate", body, withinMs),
      configure: () => this.#options.server.configure(this.#desired()),
      joining: () => this.#membership.joining,
    });
  }

  get rotations(): RotationApi {
    if (this.#rotations === null) throw new LeafmeshError("internal", "The rotations are not open");
    return this.#observer.isClustered ? notRotating(this.#rotations.own) : this.#rotations.own;
  }

  get erasures(): Erasures {
    if (this.#erasures === null) throw new LeafmeshError("internal", "The erasures are not open");
    return this.#erasures;
  }

  async site(): Promise<SiteReport> {
    const { revision } = this.state.desired();
    return {
      site: this.#options.site,
      key: this.#options.key.publicKey,
      revision,
      converged: this.#reconciler.converged,
      alarms: countAlarms(this.alarms.list()),
      store: storeReport(this.#desired(), this.#reconciler.last?.observed ?? null, this.#watched.store),
      memory: memoryReport(this.#options.alarmLimits.memoryBytes),
      ...(await this.#options.about()),
    };
  }

  async plan(): Promise<PlanReport> {
    return reportPlan(await this.#reconciler.plan());
  }

  async apply(): Promise<ApplyReport> {
    const report = await this.#reconciler.apply();
    this.#trials.sync();
    return report;
  }

  lint(candidate?: LintFile, tenant?: string): LintReport {
    if (candidate !== undefined) return lintText(candidate);
    const { site, guards = {} } = this.#options;
    const file = { site, ...this.state.documents(), ...guards };
    return tenant === undefined ? lintSite(file, site) : lintTenant(file, site, tenant);
  }

  async links(): Promise<readonly LinkReport[]> {
    const { plan } = this.#reconciler.last ?? (await this.#reconciler.plan());
    return await this.#links.report(plan, await this.#observer.streams());
  }

  async explain(tenant: string, request: ExplainRequest): Promise<ExplainReport> {
    this.#requireTenant(tenant);
    return await this.#trials.explain(tenant, request);
  }

  async diff(tenant: string, name: string, request: DiffRequest): Promise<DiffReport> {
    return await this.#trials.diff(tenant, name, request);
  }

  async shadow(tenant: string, name: string, samples: boolean): Promise<ShadowReport> {
    return await this.#trials.shadow(tenant, name, samples);
  }

  /** What the running shadows have counted. */
  shadowNumbers(): readonly ShadowNumbers[] {
    return this.#trials.shadowNumbers();
  }

  /** What is counted of the replays. */
  replayNumbers(): readonly ReplayNumbers[] {
    const mesh = this.#reconciler.last?.observed.mesh;
    return replayNumbers(replayStands(this.#replays.all(), mesh), new Date());
  }

  async users(tenant: string): Promise<readonly UserReport[]> {
    return await reportUsers(this.#requireTenant(tenant), this.#options.system, new Date());
  }

  async keys(tenant: string): Promise<readonly KeyInfo[]> {
    this.#requireTenant(tenant);
    return await this.#options.tenantKeys.list(tenant);
  }

  async rotateKey(tenant: string, kind: KeyKind): Promise<KeyInfo> {
    this.#requireTenant(tenant);
    if (this.#observer.isClustered) {
      throw new LeafmeshError(
        "conflict",
        `Each host of a site of several servers has keys of its own: write the same 32 random bytes to keys/${kind}_${tenant}.<number>.key of each, and restart the sidecars (docs/clusters.md)`,
      );
    }
    const made = await this.#options.tenantKeys.rotate(tenant, kind);
    this.#reconciler.trigger();
    this.#trials.sync();
    return made;
  }

  /** See {@link SiteRecovery.restartServer}. */
  async restartServer(restart: () => Promise<void>, options?: RestartOptions): Promise<void> {
    await this.#recovery.restartServer(restart, options);
    this.changed();
  }

  /**
   * Holds the store of a server that went on, or that somebody else runs, against what was noted of it. Where it is an older
   * copy, peers are asked before they get more.
   */
  async lookForRollback(): Promise<void> {
    await this.#recovery.look();
  }

  get membership(): Membership {
    return this.#membership;
  }

  get deadLetters(): Control["deadLetters"] {
    return this.#options.deadLetters;
  }

  get audit(): Audit {
    return this.#options.audit;
  }

  get alarms(): Alarms {
    return this.#options.alarms;
  }

  /** The last plan; `null`: there is none yet. */
  get planned(): Planned | null {
    return this.#reconciler.last;
  }

  /** What alarms follow from. */
  async #facts(): Promise<SiteFacts> {
    const { last, failures } = this.#reconciler;
    const { servers } = this.#observer;
    return await readFacts({
      desired: this.#desired(),
      system: this.#options.system,
      last,
      failures,
      links: (plan, streams) => this.#links.report(plan, streams),
      replays: this.#replays.all(),
      watched: this.#watched,
      memoryLimitBytes: this.#options.alarmLimits.memoryBytes,
      cluster: servers === null ? null : this.#clusterSight.look(this.#desired(), servers),
    });
  }

  get #watched(): Watched {
    return this.#options.watched?.() ?? { certificates: [], store: null };
  }

  async ready(): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }> {
    const { system, viewReports } = this.#options;
    const health = await system.health().catch((error: Error) => ({ ok: false, error: error.message }));
    const reasons = await this.#readiness.reasons({
      server: health.ok ? null : health.error,
      applied: this.#reconciler.last !== null,
      failures: this.#reconciler.failures,
      views: new Map([...viewReports()].map(([key, { state }]) => [key, state])),
      converged: this.#reconciler.converged,
      unproved: () => this.#links.unproved(),
    });
    return { ready: reasons.length === 0, reasons };
  }

  members(): readonly MemberReport[] {
    return this.#options.members?.() ?? [];
  }

  async metrics(): Promise<string> {
    return await this.#options.renderMetrics(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rotations?.[Symbol.asyncDispose]();
    await this.#membership[Symbol.asyncDispose]();
    this.#expiry[Symbol.dispose]();
    await this.#alarmWatch[Symbol.asyncDispose]();
    await this.#erasures?.[Symbol.asyncDispose]();
    await this.#replays[Symbol.asyncDispose]();
    await this.#trials[Symbol.asyncDispose]();
    this.#gates[Symbol.dispose]();
    await this.#reconciler[Symbol.asyncDispose]();
    await this.#peering[Symbol.asyncDispose]();
  }

  #desired(): DesiredState {
    return this.state.desired().state;
  }

  #requireTenant(name: string): DesiredTenant {
    const tenant = this.#desired().tenants.find((one) => one.name === name);
    if (tenant === undefined) throw new LeafmeshError("not_found", `There is no tenant ${name}`);
    return tenant;
  }

  async #configure(): Promise<void> {
    const { state, revision } = this.state.desired();
    // Where the server refuses the rest, they are shut out all the same.
    await revokeUsers(this.#options, state);
    await this.#options.server.configure(state, revision);
  }
}

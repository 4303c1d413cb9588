/** The sidecar that leads: control plane, state, audit trail and API of the site, for as long as it leads. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { createApi } from "../../routes/mod.ts";
import { Authenticator } from "../control/access/authenticator.ts";
import type { BootstrapToken } from "../control/access/bootstrap.ts";
import { TokenStore } from "../control/access/token_store.ts";
import { Alarms } from "../control/alarms/alarms.ts";
import { Audit } from "../control/audit/audit.ts";
import { checkState, requireAllowed } from "../control/check_state.ts";
import { Erasures } from "../control/erasure/erasures.ts";
import { ghostsOf } from "../control/ghost_interest.ts";
import { migrateLayout } from "../control/layout.ts";
import { guardConnection, requireTerm, type Term } from "../control/members/guard.ts";
import type { Members } from "../control/members/members.ts";
import { OtherServers } from "../control/other_servers.ts";
import { rememberState } from "../control/remembered.ts";
import { Rollbacks } from "../control/rollback/rollbacks.ts";
import { type Recovered, recoverState, StateCopy } from "../control/rollback/state_copy.ts";
import { SiteRotations } from "../control/rotation/site_rotations.ts";
import { SiteControl } from "../control/site_control.ts";
import { SiteServer } from "../control/site_server.ts";
import { KvStateStore } from "../control/state_store.ts";
import { scanEvents } from "../flow/event_scan.ts";
import { RedriveJobs } from "../flow/redrive_jobs.ts";
import { ReplayJobs } from "../flow/replay_jobs.ts";
import { linkMode } from "../model/links.ts";
import { STATE_BUCKET, tenantApiPrefix } from "../model/names.ts";
import { alarmLimits } from "../model/schema/alarms.ts";
import { parseBytes, parseDurationMs } from "../model/units.ts";
import { publicKeys } from "../nats/keys.ts";
import { SiteKeyFiles } from "../nats/site_key_files.ts";
import type { StoreWatch } from "../nats/store_watch.ts";
import { sharedTenantKey, TenantKeys } from "../nats/tenant_keys.ts";
import { policyVersion } from "../policy/compile.ts";
import { apiLog, runtimeName, siteMetrics, viewReport, viewRunner } from "./adapters.ts";
import { apiAddress, oidcTokens } from "./api_server.ts";
import { CertificateWatch } from "./certificate_watch.ts";
import { replicasOf, stateOn, whenPlaced } from "./cluster.ts";
import { deadLettersOf } from "./dead_letters.ts";
import type { Foundation, PreparedServer } from "./foundation.ts";
import { watchLeftListeners } from "./left_listeners.ts";
import { linkTrust } from "./link_trust.ts";
import { certificateReports, linkFailure, linksReport, stoppedDialling } from "./links.ts";
import { memberMetrics } from "./member_metrics.ts";
import { memberReports, watchMembers } from "./member_reports.ts";
import type { Phases } from "./phases.ts";
import { whenServed } from "./served.ts";
import type { OpenViews } from "./spread/open.ts";
import { VERSION } from "./version.ts";

export interface LeadOptions {
  readonly foundation: Foundation;
  readonly term: Term;
  /** The server, with connections of the term's own; the caller's to dispose of, after the rest. */
  readonly prepared: PreparedServer;
  readonly token: BootstrapToken;
  readonly views: OpenViews;
  readonly members: Members;
  readonly phases: Phases;
}

/** The site as it is led. Disposing of it ends that, and leaves the server as it is. */
export interface LedSite extends AsyncDisposable {
  readonly control: SiteControl;
  readonly fetch: (request: Request, client: { readonly address: string }) => Response | Promise<Response>;
}

/** Leads the site: reads its state, applies it, and answers its API. @throws {LeafmeshError} with the code of what is wrong */
export async function leadSite({
  foundation,
  term,
  prepared,
  token,
  views: own,
  members,
  phases,
}: LeadOptions): Promise<LedSite> {
  await using stack = new AsyncDisposableStack();
  const { site: views } = own;
  const { options, folder, linkLog } = foundation;
  const { file, log, signal } = options;
  const { site } = file;
  const settings = file.server ?? {};
  const clustered = settings.cluster !== undefined;
  const logControl = (level: "info" | "warn" | "error", message: string) => log(level, "control", message);
  const { server, keys, pki, before, inForce } = prepared;
  const connection = server.connection.guarded((one) => guardConnection(one, term));
  const { mesh: nc, system } = connection;
  const js = jetstream(nc);
  const mesh = await jetstreamManager(nc, { checkAPI: false });
  const tenantManager = (tenant: string) =>
    jetstreamManager(nc, { apiPrefix: tenantApiPrefix(tenant), checkAPI: false });
  // A file has no revision that would keep one that leads no more from changing it.
  const mayChange = () => requireTerm(term);
  pki.guard(mayChange);
  const tenantKeys = new TenantKeys(
    folder.path,
    mayChange,
    clustered ? (tenant, kind) => sharedTenantKey(keys.mesh, tenant, kind) : undefined,
  );

  const audit = stack.use(
    await whenPlaced(settings, { log, signal }, () =>
      Audit.open({
        site,
        js,
        jsm: mesh,
        key: () => keys.site,
        dataFolder: folder.path,
        mayChange,
        maxAgeMs: parseDurationMs(file.audit?.maxAge ?? "400d") ?? 0,
        replicas: replicasOf(settings),
        maxBytes: parseBytes(file.audit?.maxBytes ?? "256MiB") ?? 0,
        now: () => new Date(),
        log: (level, message) => log(level, "audit", message),
      }),
    ),
  );
  await audit.event("sidecar.start", `site ${site}`, {
    after: { version: VERSION, runtime: runtimeName(), server: server.version, key: keys.site.publicKey },
  });
  stack.defer(() => audit.event("sidecar.stop", `site ${site}`).catch(() => undefined));
  phases.done("audit");

  const copyOptions = {
    folder: folder.path,
    mayChange,
    js,
    jsm: mesh,
    log: logControl,
  };
  // Without what was remembered the site begins again with its file.
  const recovered = before === null ? null : await recoverState(copyOptions);
  let copy: StateCopy | null = null;
  // The state tells of changes before the control plane that hears them is there.
  let changed = () => {};
  const state = stack.use(
    await KvStateStore.open({
      site,
      js,
      replicas: replicasOf(settings),
      seed: before === null ? file : null,
      check: (name, tenants, peers) => checkState(name, tenants, peers, publicKeys(keys), file),
      onChange: () => changed(),
      migrate: (fresh) => migrateLayout({ mesh, fresh, log: (message) => log("info", "control", message) }),
      tell: async (target, change, work) => {
        const done = await audit.document(target, change, work);
        await copy?.settled();
        return done;
      },
    }),
  );
  copy = stack.use(await StateCopy.open(copyOptions));
  requireAllowed(state.desired().state, file);
  // From now on the store has streams of these accounts: the next start needs them, whatever the site file says then.
  if (before === null) {
    await rememberState(
      folder.path,
      { state: stateOn(settings, inForce.state), retired: inForce.retired },
      mayChange,
    );
  }
  phases.done("state");
  const redrives = stack.use(
    new RedriveJobs({
      jsm: mesh,
      redrive: (tenant, policy, sequences, dryRun) => views.redrive(tenant, policy, sequences, dryRun),
      log: (message) => log("info", "dlq", message),
    }),
  );
  const siteServer = new SiteServer({
    system,
    render: server.render,
    write: (config) => server.write(config, mayChange),
    verify: server.verify,
    remember: (state) => rememberState(folder.path, state, mayChange),
    inForce,
    quiet: server.quiet && !clustered,
    ...(settings.cluster === undefined ? {} : { others: new OtherServers({ site, nc, system }) }),
    now: () => new Date(),
  });

  const alarms = new Alarms({ now: () => new Date(), log: (level, message) => log(level, "alarm", message) });
  stack.defer(watchMembers(members, alarms));
  const ghosts = ghostsOf({ system, mesh, clustered, log: logControl });
  let store: StoreWatch | null = null;
  const certificates = () => certificateReports(settings, pki, state.desired().state.peers, new Date());
  if (recovered !== null) await tellRecovered(recovered, audit, alarms);
  const rollbacks = stack.use(
    await Rollbacks.open({
      folder: folder.path,
      mesh,
      mayChange,
      raise: (name, report) => alarms.raise(name, report),
      tell: (operation, target, result) => audit.event(`store.${operation}`, target, { result }),
      now: () => new Date(),
      log: logControl,
    }),
  );
  phases.done("rollbacks");
  const control = stack.use(
    new SiteControl({
      site,
      adopted: server.startedAt === undefined,
      key: keys.site,
      nc,
      mesh,
      tenant: tenantManager,
      system,
      server: siteServer,
      state,
      guards: {
        ...(file.forbid === undefined ? {} : { forbid: file.forbid }),
        ...(file.sensitive === undefined ? {} : { sensitive: file.sensitive }),
      },
      links: {
        mode: linkMode(settings),
        failure: (peer) => linkFailure(linkLog, peer),
        up: (peer) => linkLog.cleared(peer),
        stoppedDialling: (peer) => stoppedDialling(linkLog, peer),
        dialledAnew: (peer) => linkLog.dialledAnew(peer),
      },
      views: viewRunner(views, (tenant) => tenantKeys.load(tenant)),
      viewReports: () =>
        new Map([...views.stats()].map(([key, stats]) => [key, viewReport(stats, views.memberOf(key))])),
      versionOf: ({ policy, tenant }) =>
        policyVersion(policy, tenantKeys.active(tenant.name), tenant.schemas),
      deadLetters: deadLettersOf(mesh, redrives),
      about: async () => ({
        version: VERSION,
        runtime: runtimeName(),
        startedAt: foundation.started.toISOString(),
        server: {
          mode: server.mode,
          version: server.version,
          id: system.serverId,
          pid: await server.pid(),
          listen: server.listen,
          leaf: server.leaf,
          mqtt: file.server?.mqtt ?? null,
          websocket: file.server?.websocket ?? null,
          sync: server.sync,
        },
        links: linksReport(settings, pki, server.leaf, certificates()),
      }),
      renderMetrics: async (site) => `${await siteMetrics(site, mesh)}${memberMetrics(members, own)}`,
      scan: (request) => scanEvents({ nc, jsm: mesh, ...request }),
      tenantKeys,
      audit,
      members: () => memberReports(members),
      alarms,
      alarmLimits: alarmLimits(file.alarms),
      watched: () => ({ certificates: certificates(), store: store?.report ?? null }),
      rollbacks,
      ghosts,
      trust: linkTrust(linkMode(settings) === "plain" ? null : pki, settings, server.leaf),
      erasures: (parts) =>
        Erasures.open({
          site,
          js,
          mesh,
          tenant: tenantManager,
          state: () => state.desired().state,
          audit,
          ...parts,
          now: () => new Date(),
          log: (level, message) => log(level, "erasure", message),
        }),
      replays: (parts) =>
        ReplayJobs.open({
          ...parts,
          leads: term.holds,
          nc,
          js,
          jsm: mesh,
          scan: (request) => scanEvents({ nc, jsm: mesh, ...request }),
          ended: ({ id, tenant, state, target, forwarded, dropped, quarantined, why }) => {
            const after = { id, state, target, forwarded, dropped, quarantined, why };
            audit.event("replay.ended", `tenant ${tenant}`, { after }).catch(() => undefined);
          },
          log: (level, message) => log(level, "replay", message),
        }),
      rotations: (host) =>
        SiteRotations.open(
          {
            site,
            js,
            state,
            system,
            audit,
            alarms,
            key: new SiteKeyFiles(folder.path, keys.site, file.secrets?.site !== undefined, mayChange),
            pki: linkMode(settings) === "plain" ? null : pki,
            leads: term.holds,
            log: (level, message) => log(level, "rotation", message),
          },
          host,
        ),
      log: logControl,
    }),
  );
  const tokens = stack.use(
    await TokenStore.open({ js, now: Date.now, log: (message) => log("info", "api", message) }),
  );
  const tenantNames = () => state.desired().state.tenants.map(({ name }) => name);
  await tokens.keepTenants(tenantNames());
  changed = () => {
    void tokens.keepTenants(tenantNames());
    control.changed();
  };
  phases.done("control");
  // What an older copy of the store lacks, and what a full disk did not take, is asked for again before anything new comes.
  if (!clustered) {
    if (server.quiet) await control.restartServer(async () => {}, { startedAt: server.startedAt, signal });
    else await control.lookForRollback();
  }
  rollbacks.watch();
  phases.done("positions");
  await control.openReplays();
  phases.done("replays");
  store = server.watchStore((restart, signal) =>
    clustered
      ? restart()
      : control.restartServer(
          async () => {
            await requireTerm(term);
            await restart();
          },
          { startedAt: performance.now(), signal },
        ),
  );
  if (store !== null) stack.use(store);
  stack.use(
    watchLeftListeners({
      system,
      mesh,
      steps: () => control.planned?.plan.steps ?? [],
      ghosts,
      store,
      alarms,
      log: logControl,
    }),
  );
  const served = {
    log: (message: string) => log("warn", "control", message),
    ...(signal === undefined ? {} : { signal }),
    goesOn: term.holds,
  };
  await whenServed(() => control.apply(), served);
  phases.done("apply");
  if (linkMode(settings) === "tls") {
    const watch = stack.use(
      new CertificateWatch({
        pki,
        certificates,
        renewed: () => control.changed(),
        log: (level, message) => log(level, "links", message),
        now: () => new Date(),
      }),
    );
    await watch.look();
  }
  await whenServed(() => control.openErasures(), served);
  await whenServed(() => control.openRotations(), served);
  phases.done("rest");

  const oidc = oidcTokens(file.api, options.base);
  if (oidc !== null) stack.use(oidc);
  const authenticator = new Authenticator(token, tokens, oidc);
  const address = apiAddress(file.api, options.insecureApi === true);
  const api = createApi({
    control,
    authenticate: (candidate) => authenticator.authenticate(candidate),
    tokens: {
      list: () => tokens.list(),
      add: (request) => tokens.add(request),
      revoke: (id) => tokens.revoke(id),
      rotateBootstrap: () => token.rotate(mayChange),
    },
    version: VERSION,
    log: apiLog(log),
    tls: file.api?.tls !== undefined,
    ...(address.knowsHost === undefined ? {} : { knowsHost: address.knowsHost }),
  });

  const parts = stack.move();
  return {
    control,
    fetch: (request, client) => api.fetch(request, client),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
/** Says that the state was an older one than what was in force, and what of it was put back. */
async function tellRecovered(found: Recovered, audit: Audit, alarms: Alarms): Promise<void> {
  const { had, wanted, written, removed } = found;
  const back = [...written, ...removed.map((key) => `${key} (removed)`)].join(", ");
  const detail = `the state was at revision ${had}, that of an older copy; what had changed up to ${wanted} is in force again: ${back}`;
  alarms.raise("state-rolled-back", { target: STATE_BUCKET, detail });
  await audit.event("state.recovered", STATE_BUCKET, { result: detail });
}

/** Starts the sidecar of a site: builds the parts, joins them, and stops them in order. */
import { join, resolve } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { createApi } from "../../routes/mod.ts";
import { Authenticator } from "../control/access/authenticator.ts";
import { loadBootstrapToken } from "../control/access/bootstrap.ts";
import { TokenStore } from "../control/access/token_store.ts";
import { Alarms } from "../control/alarms/alarms.ts";
import { Audit } from "../control/audit/audit.ts";
import { checkState, requireAllowed } from "../control/check_state.ts";
import { Erasures } from "../control/erasure/erasures.ts";
import { migrateLayout } from "../control/layout.ts";
import { loadRemembered, rememberState } from "../control/remembered.ts";
import { Rollbacks } from "../control/rollback/rollbacks.ts";
import { type Recovered, recoverState, StateCopy } from "../control/rollback/state_copy.ts";
import { SiteRotations } from "../control/rotation/site_rotations.ts";
import { SiteControl } from "../control/site_control.ts";
import { SiteServer } from "../control/site_server.ts";
import { desiredOfFile } from "../control/state_documents.ts";
import { KvStateStore } from "../control/state_store.ts";
import { scanEvents } from "../flow/event_scan.ts";
import { RedriveJobs } from "../flow/redrive_jobs.ts";
import { ReplayJobs } from "../flow/replay_jobs.ts";
import { ViewWorkers } from "../flow/view_runner.ts";
import { LeafmeshError } from "../model/errors.ts";
import { linkMode } from "../model/links.ts";
import { STATE_BUCKET, tenantApiPrefix } from "../model/names.ts";
import { alarmLimits } from "../model/schema/alarms.ts";
import type { SiteFile } from "../model/schema/site.ts";
import { parseBytes, parseDurationMs } from "../model/units.ts";
import { DataFolder } from "../nats/data_folder.ts";
import { loadSiteKeys, publicKeys } from "../nats/keys.ts";
import { LinkLog } from "../nats/link_log.ts";
import { SitePki } from "../nats/pki/site_pki.ts";
import { readSecret } from "../nats/secret_source.ts";
import { SiteKeyFiles } from "../nats/site_key_files.ts";
import type { StoreWatch } from "../nats/store_watch.ts";
import { TenantKeys } from "../nats/tenant_keys.ts";
import type { Log } from "../observe/log.ts";
import { policyVersion } from "../policy/compile.ts";
import { apiLog, runtimeName, siteMetrics, viewReport, viewRunner } from "./adapters.ts";
import { apiAddress, loadApiTls, oidcTokens, serveApi } from "./api_server.ts";
import { ApiTlsWatch } from "./api_tls_watch.ts";
import { CertificateWatch } from "./certificate_watch.ts";
import { replicasOf, stateOn, whenPlaced } from "./cluster.ts";
import { deadLettersOf } from "./dead_letters.ts";
import { linkTrust } from "./link_trust.ts";
import { certificateReports, linkFailure, linkHosts, linksReport, linkWarning } from "./links.ts";
import { whenServed } from "./served.ts";
import { openServer } from "./server.ts";

export const VERSION = "0.1.0";

export interface SidecarOptions {
  readonly file: SiteFile;
  /** Folder that relative paths of the site file start from. */
  readonly base: string;
  readonly log: Log;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Lets the API listen in clear where others can listen, too. Default false. */
  readonly insecureApi?: boolean;
  /** Gives up the start. */
  readonly signal?: AbortSignal;
}

/** A running sidecar. */
export interface Sidecar extends AsyncDisposable {
  readonly site: string;
  /** Where the API answers, for example `http://127.0.0.1:7480`. */
  readonly apiUrl: string;
  /** Where apps connect, `host:port`. */
  readonly listen: string;
  readonly leaf: string;
  readonly dataFolder: string;
  readonly siteKey: string;
  /** SHA-256 of the public key of the site's CA; `null` where links are plain. */
  readonly caFingerprint: string | null;
  /** The admin token, when it was made in this start: to be shown once. */
  readonly madeToken: string | null;
  readonly tokenSource: string;
  readonly control: SiteControl;
  /** Stops in order: API, control, views, connections, server. */
  stop(): Promise<void>;
  /** Has the server end by itself and waits for nothing: for a process that ends now. */
  leave(): Promise<void>;
}

/**
 * Starts the sidecar of a site, with its server.
 * @throws {LeafmeshError} with the code of what is wrong; all that was started is stopped again.
 */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  await using stack = new AsyncDisposableStack();
  const { file, log } = options;
  const { site } = file;
  const started = new Date();
  const address = apiAddress(file.api, options.insecureApi === true);
  const path = resolve(options.base, file.data ?? join("leafmesh-data", site));
  const folder = stack.use(await DataFolder.open(path));
  const keys = await loadSiteKeys(folder.path, await givenSeeds(options));
  const settings = file.server ?? {};
  const pki = await SitePki.load(folder.path, { site, hosts: linkHosts(settings) });
  const linkLog = new LinkLog();
  const warning = linkWarning(settings);
  if (warning !== null) log("warn", "links", warning);
  const token = await loadBootstrapToken(folder.path, tokenSetting(file, options.base), options.env);
  const tlsPlace = { dataFolder: folder.path, base: options.base, pki };
  const tls = await loadApiTls(file, tlsPlace);
  const before = await loadRemembered(folder.path);
  const { state: rememberedState, retired } = before ?? { state: desiredOfFile(file), retired: [] };
  const remembered = { state: stateOn(settings, rememberedState), retired };
  if (remembered.state.site !== site) {
    throw new LeafmeshError(
      "conflict",
      `${folder.path} is the data folder of site ${remembered.state.site}, not of ${site}: give each site its own`,
    );
  }
  // Before the server runs: from then on native routes flow by themselves.
  requireAllowed(remembered.state, file);
  const { signal } = options;
  const server = stack.use(
    await openServer({
      site,
      settings,
      base: options.base,
      folder,
      keys,
      pki,
      linkLog,
      ...remembered,
      now: started,
      env: options.env,
      log,
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  const { mesh: nc, system } = server.connection;
  const js = jetstream(nc);
  const mesh = await jetstreamManager(nc, { checkAPI: false });
  const tenantManager = (tenant: string) =>
    jetstreamManager(nc, { apiPrefix: tenantApiPrefix(tenant), checkAPI: false });
  const tenantKeys = new TenantKeys(folder.path);

  const audit = stack.use(
    await whenPlaced(settings, { log, signal }, () =>
      Audit.open({
        site,
        js,
        jsm: mesh,
        key: () => keys.site,
        dataFolder: folder.path,
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

  const copyOptions = {
    folder: folder.path,
    js,
    jsm: mesh,
    log: (level: "info" | "warn" | "error", message: string) => log(level, "control", message),
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
  if (before === null) await rememberState(folder.path, remembered);
  const workers = stack.use(
    new ViewWorkers({
      connection: { site, server: server.address, seed: keys.mesh.seed() },
      log: (message) => log("info", "view", message),
    }),
  );
  const redrives = stack.use(
    new RedriveJobs({
      jsm: mesh,
      redrive: (tenant, policy, sequences, dryRun) => workers.redrive(tenant, policy, sequences, dryRun),
      log: (message) => log("info", "dlq", message),
    }),
  );
  const siteServer = new SiteServer({
    system,
    render: server.render,
    write: server.write,
    verify: server.verify,
    remember: (desired, retired) => rememberState(folder.path, { state: desired, retired }),
    inForce: { ...remembered, at: started },
    now: () => new Date(),
  });

  const alarms = new Alarms({ now: () => new Date(), log: (level, message) => log(level, "alarm", message) });
  let store: StoreWatch | null = null;
  const certificates = () => certificateReports(settings, pki, state.desired().state.peers, new Date());
  if (recovered !== null) await tellRecovered(recovered, audit, alarms);
  const rollbacks = stack.use(
    await Rollbacks.open({
      folder: folder.path,
      mesh,
      raise: (name, report) => alarms.raise(name, report),
      tell: (operation, target, result) => audit.event(`store.${operation}`, target, { result }),
      now: () => new Date(),
      log: (level, message) => log(level, "control", message),
    }),
  );
  const control = stack.use(
    new SiteControl({
      site,
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
      },
      views: viewRunner(workers, (tenant) => tenantKeys.load(tenant)),
      viewReports: () => new Map([...workers.stats()].map(([key, stats]) => [key, viewReport(stats)])),
      versionOf: ({ policy, tenant }) =>
        policyVersion(policy, tenantKeys.active(tenant.name), tenant.schemas),
      deadLetters: deadLettersOf(mesh, redrives),
      about: async () => ({
        version: VERSION,
        runtime: runtimeName(),
        startedAt: started.toISOString(),
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
      renderMetrics: (site) => siteMetrics(site, mesh),
      scan: (request) => scanEvents({ nc, jsm: mesh, ...request }),
      tenantKeys,
      audit,
      alarms,
      alarmLimits: alarmLimits(file.alarms),
      watched: () => ({ certificates: certificates(), store: store?.report ?? null }),
      rollbacks,
      trust: linkTrust(linkMode(settings) === "plain" ? null : pki, settings, server.leaf),
      erasures: (ask) =>
        Erasures.open({
          site,
          js,
          mesh,
          tenant: tenantManager,
          state: () => state.desired().state,
          audit,
          ask,
          now: () => new Date(),
          log: (level, message) => log(level, "erasure", message),
        }),
      replays: (parts) =>
        ReplayJobs.open({
          ...parts,
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
            key: new SiteKeyFiles(folder.path, keys.site, file.secrets?.site !== undefined),
            pki: linkMode(settings) === "plain" ? null : pki,
            log: (level, message) => log(level, "rotation", message),
          },
          host,
        ),
      log: (level, message) => log(level, "control", message),
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
  // What an older copy of the store lacks, and what a full disk did not take, is asked for again before anything new comes.
  if (server.quiet) await control.restartServer(async () => {});
  else if (settings.cluster === undefined) await control.lookForRollback();
  rollbacks.watch();
  await control.openReplays();
  store = server.watchStore((restart) =>
    settings.cluster === undefined ? control.restartServer(restart) : restart(),
  );
  if (store !== null) stack.use(store);
  const served = {
    log: (message: string) => log("warn", "control", message),
    ...(signal === undefined ? {} : { signal }),
  };
  await whenServed(() => control.apply(), served);
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

  const oidc = oidcTokens(file.api, options.base);
  if (oidc !== null) stack.use(oidc);
  const authenticator = new Authenticator(token, tokens, oidc);
  const api = createApi({
    control,
    authenticate: (candidate) => authenticator.authenticate(candidate),
    tokens: {
      list: () => tokens.list(),
      add: (request) => tokens.add(request),
      revoke: (id) => tokens.revoke(id),
      rotateBootstrap: () => token.rotate(),
    },
    version: VERSION,
    log: apiLog(log),
    tls: tls !== null,
    ...(address.knowsHost === undefined ? {} : { knowsHost: address.knowsHost }),
  });
  const { server: httpServer, url: apiUrl } = await serveApi(address, tls, (request, { address }) =>
    api.fetch(request, { address }),
  );
  stack.use(httpServer);
  if (tls !== null) {
    const apiTls = new ApiTlsWatch(tls, {
      load: () => loadApiTls(file, tlsPlace),
      self: file.api?.tls === "self" ? pki : null,
      replace: (next) => httpServer.replaceTls(next),
      log: (level, message) => log(level, "api", message),
      now: () => new Date(),
    });
    stack.use(apiTls);
  }
  log("info", "api", `listening at ${apiUrl}`);

  const parts = stack.move();
  return {
    site,
    apiUrl,
    listen: server.listen,
    leaf: server.leaf,
    dataFolder: folder.path,
    get siteKey() {
      return keys.site.publicKey;
    },
    caFingerprint: linkMode(settings) === "plain" ? null : pki.fingerprint,
    madeToken: token.made,
    tokenSource: token.source,
    control,
    stop: () => parts.disposeAsync(),
    leave: () => server.leave(),
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

function tokenSetting(file: SiteFile, base: string) {
  const setting = file.api?.token;
  return typeof setting === "object" && "file" in setting ? { file: resolve(base, setting.file) } : setting;
}

/** Seeds that the site file keeps elsewhere. */
async function givenSeeds({ file, base, env }: SidecarOptions) {
  const seeds: Partial<Record<"site" | "mesh" | "sys", string>> = {};
  for (const name of ["site", "mesh", "sys"] as const) {
    const source = file.secrets?.[name];
    if (source !== undefined)
      seeds[name] = await readSecret(source, { what: `the seed '${name}'`, base, env });
  }
  return seeds;
}

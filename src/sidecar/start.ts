/** Starts a sidecar: joins the members of its site, leads it or stands by, serves the API, and stops all of it in order. */

import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { loadBootstrapToken } from "../control/access/bootstrap.ts";
import { requireTerm, type Term } from "../control/members/guard.ts";
import { MEMBERS_PROTOCOL } from "../control/members/heartbeat.ts";
import { MemberRpc } from "../control/members/member_rpc.ts";
import { Members } from "../control/members/members.ts";
import type { SiteControl } from "../control/site_control.ts";
import { ViewWorkers } from "../flow/view_runner.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { KeyKind } from "../model/keys.ts";
import { linkMode } from "../model/links.ts";
import type { SiteFile } from "../model/schema/site.ts";
import { parseDurationMs } from "../model/units.ts";
import { hostMark } from "../nats/host_mark.ts";
import { watchHungServer } from "../nats/hung_server.ts";
import { stopKeeper, tellKeeperToEnd } from "../nats/keeper.ts";
import { publicKeys, type SiteKeys } from "../nats/keys.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import { isRunning } from "../nats/processes.ts";
import { sharedTenantKey, TenantKeys } from "../nats/tenant_keys.ts";
import { apiFront } from "./api_front.ts";
import { apiAddress, loadApiTls, serveApi } from "./api_server.ts";
import { ApiTlsWatch } from "./api_tls_watch.ts";
import { isPassing, replicasOf, whenPlaced } from "./cluster.ts";
import { enter } from "./entrance.ts";
import { FollowedServer } from "./follow.ts";
import { type Foundation, layFoundation, prepareServer, type SidecarOptions } from "./foundation.ts";
import { type LedSite, leadSite } from "./lead.ts";
import { Leadership } from "./leadership.ts";
import { linkWarning } from "./links.ts";
import { memberMetrics } from "./member_metrics.ts";
import { Phases } from "./phases.ts";
import { type OpenViews, openViews } from "./spread/open.ts";
import { VERSION } from "./version.ts";

const DEFAULT_HUNG_AFTER = "60s";

export type { SidecarOptions } from "./foundation.ts";
export { VERSION } from "./version.ts";

/** A running sidecar. */
export interface Sidecar extends AsyncDisposable {
  readonly site: string;
  /** Its name among the sidecars of the site. */
  readonly member: string;
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
  /** The site, while this sidecar leads it. @throws LeafmeshError `no_leader` */
  readonly control: SiteControl;
  /** Stops in order: API, control, views, connections, server. */
  stop(): Promise<void>;
  /** Has the server end by itself and waits for nothing: for a process that ends now. */
  leave(): Promise<void>;
}

/**
 * Starts a sidecar of a site, with the site's server where none runs.
 * @throws {LeafmeshError} with the code of what is wrong; all that was started is stopped again.
 */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  await using stack = new AsyncDisposableStack();
  const { file, log } = options;
  const { site } = file;
  const settings = file.server ?? {};
  const address = apiAddress(file.api, options.insecureApi === true);
  const foundation = stack.use(await layFoundation(options));
  const { folder, member } = foundation;
  const keys = await foundation.loadKeys();
  const pki = await foundation.loadPki();
  const warning = linkWarning(settings);
  if (warning !== null) log("warn", "links", warning);
  const loadToken = () => loadBootstrapToken(folder.path, tokenSetting(file, options.base), options.env);
  const token = await loadToken();
  /** As they are now: rotations change them in place, another member that led in their files. */
  let current: { readonly keys: SiteKeys; readonly pki: SitePki } = { keys, pki };
  const loadTls = () => loadApiTls(file, { dataFolder: folder.path, base: options.base, pki: current.pki });
  const tls = await loadTls();
  const end = lastLeaves(foundation);
  const entrance = await enter(foundation, end.leave);
  stack.defer(end.ofStandby);
  // Held from one leadership's begin to its end, and to the end of the process: views write until then.
  let { prepared } = entrance;
  const dispose = async () => {
    const held = prepared;
    prepared = null;
    await held?.server[Symbol.asyncDispose]();
  };
  stack.defer(dispose);
  // Each sidecar of a clustered site has a server of its own, and keeps it as the state wants it while another one leads.
  const clustered = settings.cluster !== undefined;
  let followed: FollowedServer | null = null;
  const follow = async () => {
    if (!clustered) return await dispose();
    prepared ??= await prepareServer(foundation, end.leave);
    followed ??= new FollowedServer(foundation, prepared);
  };
  const unfollow = async () => {
    await followed?.[Symbol.asyncDispose]();
    if (followed !== null) prepared = followed.prepared;
    followed = null;
  };
  stack.defer(unfollow);
  // A lease may be lost while it is taken, and taken while this one begins to stand by.
  const turns = new Turns();
  let leading = false;
  const takeOver = async (mayChange: () => Promise<void>) => {
    leading = true;
    await unfollow();
    prepared ??= await prepareServer(foundation, end.leave, mayChange);
    return prepared;
  };
  const { nc } = entrance;
  stack.defer(() => nc.close());
  const hungAfter = settings.hungAfter ?? DEFAULT_HUNG_AFTER;
  if (settings.mode !== "external" && hungAfter !== "never") {
    stack.use(
      watchHungServer({
        site,
        address: entrance.address,
        sys: keys.sys,
        folder,
        afterMs: parseDurationMs(hungAfter) ?? 0,
        log: (level, message) => log(level, "nats", message),
      }),
    );
  }
  let views: OpenViews | null = null;
  const workers = new ViewWorkers({
    connection: { site, server: entrance.address, seed: keys.mesh.seed() },
    log: (message) => log("info", "view", message),
    // What another sidecar may have taken over is not written any more.
    mayWriteMs: () => views?.mayWriteMs ?? 0,
  });
  const lead = async (members: Members, views: OpenViews, term: Term): Promise<LedSite> => {
    const phases = new Phases();
    const goingOn = views.goOn(term.epoch).then(
      (what) => {
        if (what !== null)
          log("info", "members", `${what}, ${phases.elapsedMs} ms after the lease was taken`);
      },
      (error: unknown) => log("warn", "members", `views wait for the first pass: ${errorText(error)}`),
    );
    const mayChange = () => requireTerm(term);
    if (settings.mode !== "external") {
      await mayChange();
      await folder.own(true);
    }
    const stand = () =>
      turns.take(async () => {
        leading = false;
        // The connections of a term are of no use after it; of a cluster, the server beside them goes on also while this one starts.
        if (end.ending && !(clustered && end.starting)) return;
        await unfollow();
        await end.staying(dispose);
        await follow();
      });
    try {
      const prepared = await turns.take(() => takeOver(mayChange));
      current = prepared;
      await goingOn;
      phases.done("server");
      // Another member that led may have put another token there.
      const token = await loadToken();
      const led = await leadSite({ foundation, term, prepared, token, views, members, phases });
      log("info", "members", `member ${member} has begun to lead in ${phases}`);
      const over = async () => {
        await led[Symbol.asyncDispose]();
        await stand();
      };
      return { control: led.control, fetch: led.fetch, [Symbol.asyncDispose]: over };
    } catch (error) {
      await stand();
      throw error;
    }
  };
  let apiUrl = "";
  const joined = stack.use(
    await whenPlaced(settings, { log, signal: options.signal }, async () =>
      Members.open({
        nc,
        name: member,
        version: VERSION,
        api: () => apiUrl,
        keys: async () => fingerprint(await foundation.loadKeys()),
        process: { host: await hostMark(), ...folder.process },
        isRunning,
        replicas: () => replicasOf(settings),
        // Of a cluster, the others have data folders of their own.
        ...(settings.mode === "external" || clustered ? {} : { alone: async () => !(await folder.shared()) }),
        // Who has just started the server knows that nobody has led since.
        fresh: prepared !== null && !clustered,
        views: () => workers.running(),
        log: (level, message) => log(level, "members", message),
      }),
    ),
  );
  const rpc = stack.use(new MemberRpc({ nc, site, name: member, epoch: () => joined.epoch }));
  let changed = () => {};
  const shared = clustered
    ? (tenant: string, kind: KeyKind) => sharedTenantKey(keys.mesh, tenant, kind)
    : undefined;
  const opened = stack.use(
    openViews({
      nc,
      site,
      members: joined,
      rpc,
      workers,
      keys: new TenantKeys(folder.path, undefined, shared),
      changed: () => changed(),
      log,
    }),
  );
  views = opened;
  // Who leads now has what ran here as the one that led.
  stack.defer(
    joined.onChange((change) => {
      if (change === "leader" && !joined.hasLease && (!end.ending || end.starting)) opened.drop();
    }),
  );
  const leadership = stack.use(
    new Leadership<LedSite>({ members: joined, log, lead: (term) => lead(joined, opened, term) }),
  );
  changed = () => leadership.site?.control.changed();
  // Of a start that fails, too.
  stack.defer(() => end.set(true));
  try {
    await leadership.begin(options.signal);
  } catch (error) {
    if (!clustered || !isPassing(error)) throw error;
    log("warn", "members", `cannot lead yet: ${errorText(error)}`);
  }
  if (leadership.site === null) {
    await turns.take(async () => {
      if (!leading) await follow();
    });
    workers.warm();
  }
  const serverReasons = async () => (await followed?.reasons()) ?? [];
  const fetch = apiFront({
    members: joined,
    rpc,
    leadership,
    address,
    tls: tls !== null,
    log,
    metrics: () => memberMetrics(joined, opened),
    serverReasons,
  });
  const led = () => leadership.site;
  const { server: httpServer, url } = await serveApi(address, tls, fetch);
  apiUrl = url;
  stack.use(httpServer);
  if (tls !== null) {
    const self = {
      get fingerprint() {
        return current.pki.fingerprint;
      },
    };
    stack.use(
      new ApiTlsWatch(tls, {
        load: loadTls,
        self: file.api?.tls === "self" ? self : null,
        replace: (next) => httpServer.replaceTls(next),
        log: (level, message) => log(level, "api", message),
        now: () => new Date(),
      }),
    );
  }
  log("info", "api", `listening at ${apiUrl}`);

  stack.defer(() => end.set(true));
  end.set(false);
  const parts = stack.move();
  return {
    site,
    member,
    apiUrl,
    listen: entrance.listen,
    leaf: entrance.leaf,
    dataFolder: folder.path,
    get siteKey() {
      return current.keys.site.publicKey;
    },
    caFingerprint: linkMode(settings) === "plain" ? null : pki.fingerprint,
    madeToken: token.made,
    tokenSource: token.source,
    get control() {
      const control = led()?.control;
      if (control !== undefined) return control;
      throw new LeafmeshError("no_leader", `Member ${member} does not lead the site`);
    },
    stop: () => parts.disposeAsync(),
    leave: async () => {
      if (settings.mode === "external" || (await folder.shared())) return;
      if (prepared !== null) await prepared.server.leave();
      else await tellKeeperToEnd(folder);
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** One after another. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** Whether the server goes on when this sidecar ends: where another one works on the same data folder. */
function lastLeaves({ folder, options }: Foundation) {
  // A start that fails ends it, too.
  let ending = true;
  let starting = true;
  let staying = false;
  // Two that end at once: each gives its lock back before it looks, so at least one sees that it is the last.
  const shared = async () => {
    if (!(await folder.shared())) return false;
    await folder.unlock();
    return await folder.shared();
  };
  return {
    get ending() {
      return ending;
    },
    get starting() {
      return starting;
    },
    set: (to: boolean) => {
      ending = to;
      starting = false;
    },
    /** Does something with the server, which is to go on. */
    staying: async (work: () => Promise<void>) => {
      staying = true;
      try {
        await work();
      } finally {
        staying = false;
      }
    },
    leave: async () => staying || !ending || (await shared()),
    ofStandby: async () => {
      if (options.file.server?.mode === "external" || !ending) return;
      if (!(await shared())) await stopKeeper(folder);
    },
  };
}

function fingerprint(keys: Awaited<ReturnType<Foundation["loadKeys"]>>): string {
  const text = JSON.stringify([MEMBERS_PROTOCOL, publicKeys(keys)]);
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function tokenSetting(file: SiteFile, base: string) {
  const setting = file.api?.token;
  return typeof setting === "object" && "file" in setting ? { file: resolve(base, setting.file) } : setting;
}

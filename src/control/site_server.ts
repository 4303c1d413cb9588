/** The site's nats-server as the reconciler sees it: which configuration is wanted, which is in force, who is linked. */
import { currentUsers, type DesiredState, quietState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { linkAccount, tenantAccount } from "../model/names.ts";
import { dialUrls } from "../model/schema/site.ts";
import type { RenderedConfig } from "../nats/config_links.ts";
import { retiredTenants, type SystemApi } from "../nats/system_api.ts";
import { describeChanges } from "./describe_changes.ts";
import type { OtherServers } from "./other_servers.ts";
import type { PlanInput } from "./plan.ts";
import type { Remembered } from "./remembered.ts";
import { credentialOf, cutAccounts, goneUsers, type LetIn, type ServerUser, usersOf } from "./shut_out.ts";

const LINK_PREFIX = linkAccount("");
/** What a server says that has a remote of the same name still on its hands. Source: nats-server `server/reload.go`. */
const HELD_REMOTE = new RegExp(
  `account="${LINK_PREFIX}([a-z0-9-]+)".*cannot be (?:added|enabled) at the moment`,
);
/** So often a configuration is read with another name for what is dialled. */
const MOST_NAMES = 8;

/** What a server has in force, as far as is known. Not all of it outlives the sidecar: whoever adopts a server has it read anew. */
export interface InForce extends Remembered {
  readonly at: Date;
  /** What was written since for the server to read, without its word that it has: it may be in force. */
  readonly doubtful?: readonly Doubtful[];
  /** What was written last to close a door, where it is doubtful. */
  readonly narrowed?: Narrowed | null;
}

export interface SiteServerOptions {
  readonly system: SystemApi;
  /** The configuration that a state asks for, with the accounts that must stay until the server restarts. */
  readonly render: (state: DesiredState, retired: readonly string[], now: Date) => RenderedConfig;
  /** Lets nats-server check a configuration and puts it where the server reads it; not in force yet. */
  readonly write: (config: RenderedConfig) => Promise<void>;
  /** Whether all of a state's configuration is in force. @throws {LeafmeshError} `server_fragment_missing` */
  readonly verify: (state: DesiredState) => Promise<void>;
  /** Keeps what the next start renders its first configuration from, and what it has to cut. */
  readonly remember: (remembered: Remembered) => Promise<void>;
  /** The state that the configuration now in force was rendered from, and when; with what is still to be cut. */
  readonly inForce: InForce;
  readonly now: () => Date;
  /** Whether the server runs without what events cross, as {@link SiteServer.restartQuiet} leaves it. Default: it does not. */
  readonly quiet?: boolean;
  /** The other servers of a clustered site, for the sidecar that leads. */
  readonly others?: OtherServers;
}

export class SiteServer {
  readonly #options: SiteServerOptions;
  #inForce: Narrowed & { readonly config: RenderedConfig };
  /**
   * What was written since for the server to read, without its word that it has: it may be in force, and have let in who is not in what
   * is in force as far as we know.
   */
  #doubtful: readonly Doubtful[];
  /**
   * What was written last to close a door to somebody, and is not known to be in force: what stands next where the server reads, short of
   * all that is asked for, opens it to nobody again.
   */
  #narrowed: Narrowed | null;
  /** Users that were shut out, by credential, whose connections are still to be closed. */
  readonly #out = new Map<string, ServerUser>();
  /** Accounts whose leaf connections may be by what is trusted no more: a reload leaves them open. */
  readonly #cut: Set<string>;
  /**
   * How often each peer had to be dialled anew since the server started. nats-server does not take back what it has stopped to dial
   * under the name that it had, which its addresses are: so a number is added, which means nothing to the peer.
   * Source: nats-server `server/reload.go`, `server/leafnode.go`, rmLeafRemoteCfgs.
   */
  readonly #redials = new Map<string, number>();
  /** What is written and read is the quiet configuration of the state, whatever is asked for meanwhile. */
  #quiet: boolean;
  /** One writes at a time. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: SiteServerOptions) {
    this.#options = options;
    this.#quiet = options.quiet ?? false;
    const { state, retired, at, cut = [], doubtful = [], narrowed = null } = options.inForce;
    this.#cut = new Set(cut);
    this.#doubtful = doubtful;
    this.#narrowed = narrowed;
    this.#inForce = { state, retired, at, config: this.#render(state, retired, at) };
  }

  /** What the configuration that is in force was rendered from. */
  get inForce(): InForce {
    const { state, retired, at } = this.#inForce;
    return {
      state,
      retired,
      at,
      cut: [...this.#cut],
      doubtful: this.#doubtful,
      narrowed: this.#narrowed,
    };
  }

  /** What the next change starts from that is not all of what is asked for. */
  get #base(): Narrowed {
    return this.#narrowed ?? this.#inForce;
  }

  /** All that may be in force. */
  get #possible(): readonly LetIn[] {
    return [this.#inForce, ...this.#doubtful];
  }

  /** What differs between the configuration that `state` asks for and the one in force; empty: nothing. */
  changes(state: DesiredState): readonly string[] {
    const now = this.#options.now();
    const { text } = this.#render(state, this.#retired(state), now);
    const doubtful = this.#doubtful.at(-1);
    if (text === this.#inForce.config.text && doubtful === undefined) {
      const servers = (this.#options.others?.pending(text) ?? []).map((member) => `server ${member}`);
      const users = [...this.#out.values()].map(({ tenant, name }) => `${tenant}/${name}`);
      return [...servers, ...[...this.#cut, ...users].map((whose) => `- connections of ${whose}`)];
    }
    const wanted = currentUsers(state, now);
    const said = this.#possible.flatMap((one) => describeChanges(currentUsers(one.state, one.at), wanted));
    if (said.length > 0) return [...new Set(said)];
    return [
      doubtful === undefined ? "keys and certificates" : "what the server did not say that it has read",
    ];
  }

  /**
   * Brings the configuration of `state` into force and cuts the links of peers that are gone or have another key, and those
   * of invitations that are over. One after another, whoever asks. At the other servers of a clustered site, their own sidecars do
   * so: `revision` is that of the state.
   * @throws LeafmeshError `server_config_refused`; `server_failed` naming servers that were not reached
   */
  async configure(state: DesiredState, revision = 0): Promise<void> {
    await this.#serial(() => this.#configure(state));
    await this.#options.others?.configure(this.#inForce.config.text, revision);
  }

  /** Looks which servers the site has now. */
  async look(): Promise<void> {
    await this.#options.others?.look();
  }

  /**
   * Closes the door to users that `state` does not have any more, or whose time is over, and their connections with it:
   * at once, before all else that a change brings.
   *
   * @returns who they are, `<tenant>/<user>`
   */
  async revoke(state: DesiredState): Promise<readonly string[]> {
    return await this.#serial(async () => {
      const at = this.#options.now();
      const { state: before } = this.#base;
      const gone = goneUsers(this.#possible, state, at);
      if (gone.length === 0) return [];
      const out = new Set(gone.map(({ credential }) => credential));
      const tenants = before.tenants.map((tenant) => ({
        ...tenant,
        users: tenant.users.filter((user) => !out.has(credentialOf(tenant.name, user))),
      }));
      await this.#narrow({ ...before, tenants }, at);
      return gone.map(({ tenant, name }) => `${tenant}/${name}`);
    });
  }

  /** Closes the door to a peer in what is in force, before all else that the state asks for, and ends its connection. */
  async cut(peer: string): Promise<void> {
    await this.#serial(async () => {
      const { state, at } = this.#base;
      const isIn = (one: DesiredState) => one.peers.some(({ name }) => name === peer);
      if (!this.#possible.some((one) => isIn(one.state))) return;
      const peers = state.peers.filter(({ name }) => name !== peer);
      await this.#narrow({ ...state, peers }, at);
      await this.#options.system.kickLeaf(peer);
      // What was remembered for the case that this fails may have it cut once more.
      this.#cut.delete(linkAccount(peer));
    });
  }

  /** Has the server dial a peer that it has stopped to dial. */
  async redial(peer: string): Promise<void> {
    await this.#serial(async () => {
      const { state, at } = this.#base;
      this.#named(peer);
      await this.#bring(state, this.#retired(state), at);
    });
  }

  async #configure(state: DesiredState): Promise<void> {
    const { system } = this.#options;
    const at = this.#options.now();
    const retired = [
      ...new Set([
        ...this.#retired(state),
        ...retiredTenants(
          await system.accounts(),
          state.tenants.map((tenant) => tenant.name),
        ),
      ]),
    ].sort();
    const wanted = this.#render(state, retired, at);
    const isThere = wanted.text === this.#inForce.config.text && this.#doubtful.length === 0;
    if (isThere) await this.#shutOut({ state, retired });
    else await this.#bring(state, retired, at);
  }

  /** Brings a state into force that lets in fewer. What the server says nothing to holds all the same. */
  async #narrow(state: DesiredState, at: Date): Promise<void> {
    const retired = this.#retired(state);
    try {
      await this.#bring(state, retired, at);
    } catch (error) {
      const isKnown = this.#inForce.state === state;
      if (!isKnown && !isRefusal(error)) this.#narrowed = { state, retired, at };
      throw error;
    }
  }

  /** Has the server read the configuration of a state, and ends the connections that it lets in no more. */
  async #bring(state: DesiredState, retired: readonly string[], at: Date): Promise<void> {
    for (const user of goneUsers(this.#possible, state, at)) this.#out.set(user.credential, user);
    for (const { credential } of usersOf(currentUsers(state, at))) this.#out.delete(credential);
    for (const before of this.#possible) {
      for (const account of cutAccounts(before.state, state)) this.#cut.add(account);
    }
    // Remembered first: a start between here and the reload renders at least what is in force then, and cuts what is left.
    await this.#remember(state, retired);
    this.#doubt(state, retired, at);
    const config = await this.#put(state, retired, at);
    // Those who are shut out do not stay for what else there is about the configuration.
    const left = await this.#shutOut({ state, retired }).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    await this.#options.verify(state);
    this.#known({ state, retired, at, config });
    if (left !== null) throw left.error;
  }

  /** The server has said what it has in force. */
  #known(inForce: Narrowed & { readonly config: RenderedConfig }): void {
    this.#inForce = inForce;
    this.#doubtful = [];
    this.#narrowed = null;
  }

  /** The server may have read it from now on, also where it says nothing or refuses it: a reload is two. */
  #doubt(state: DesiredState, retired: readonly string[], at: Date): void {
    // Whatever names there are for what is dialled.
    const { text } = this.#options.render(state, retired, at);
    if (this.#doubtful.some((one) => one.text === text)) return;
    this.#doubtful = [...this.#doubtful, { state, at, text }];
  }

  /** Ends what a reload has left open; what cannot be ended now is ended the next time. */
  async #shutOut({ state, retired }: Pick<Remembered, "state" | "retired">): Promise<void> {
    const { system } = this.#options;
    for (const [credential, { tenant, login }] of this.#out) {
      await system.kickUser(tenantAccount(tenant), login);
      this.#out.delete(credential);
    }
    if (this.#cut.size === 0) return;
    for (const account of this.#cut) {
      await system.kickAccount(account, "here");
      this.#cut.delete(account);
    }
    await this.#remember(state, retired);
  }

  async #remember(state: DesiredState, retired: readonly string[]): Promise<void> {
    const cut = [...this.#cut];
    await this.#options.remember({ state, retired, ...(cut.length === 0 ? {} : { cut }) });
  }

  /**
   * Restarts the server and runs `work` before any stream can take anything, from apps or from another one: meanwhile there are no
   * links and no logs, and apps may listen, but not publish. Where anything of it fails, it stays so until this is done again, by
   * whoever leads then and whatever starts the server: see `isClosedConfig`.
   * @throws what `restart` or `work` throws, what the server says
   */
  async restartQuiet(
    restart: () => Promise<void>,
    work: (state: DesiredState) => Promise<void>,
  ): Promise<void> {
    await this.#serial(async () => {
      const { write, system } = this.#options;
      const { state, retired, at } = this.#base;
      await write(this.#quietOf(state, retired, at));
      this.#quiet = true;
      await restart();
      this.#redials.clear();
      const config = this.#render(state, retired, at);
      const had = this.#inForce;
      this.#inForce = { ...had, config: this.#render(had.state, had.retired, had.at) };
      await work(state);
      await write(config);
      await system.reload();
      this.#quiet = false;
      this.#known({ state, retired, at, config });
    });
  }

  /** Leaf connections in the account of a peer that the state does not name. */
  async strangers(state: DesiredState): Promise<PlanInput["strangers"]> {
    const peers = new Set(state.peers.map((peer) => peer.name));
    return (await this.#options.system.leafAccounts())
      .filter((account) => account.startsWith(LINK_PREFIX))
      .map((account) => account.slice(LINK_PREFIX.length))
      .filter((peer) => !peers.has(peer))
      .map((peer) => ({ peer, why: `${peer} is not a peer` }));
  }

  /** The configuration of a state, with all that is dialled under the names that the server takes. */
  #render(state: DesiredState, retired: readonly string[], at: Date): RenderedConfig {
    const peers = state.peers.map((peer) => {
      const again = this.#redials.get(peer.name) ?? 0;
      return again === 0 ? peer : { ...peer, dial: dialUrls(peer).map((url) => `${url}?again=${again}`) };
    });
    return this.#options.render({ ...state, peers }, retired, at);
  }

  #quietOf(state: DesiredState, retired: readonly string[], at: Date): RenderedConfig {
    return this.#options.render(quietState(state), retired, at);
  }

  /** A peer gets another name for what is dialled. */
  #named(peer: string): void {
    this.#redials.set(peer, (this.#redials.get(peer) ?? 0) + 1);
  }

  /**
   * Has the server read a configuration, or what of it may be in force now.
   * @returns it, with the names for what is dialled that the server takes
   */
  async #put(state: DesiredState, retired: readonly string[], at: Date): Promise<RenderedConfig> {
    for (let tries = 1; ; tries++) {
      const config = this.#render(state, retired, at);
      const read = this.#quiet ? this.#quietOf(state, retired, at) : config;
      const held = await this.#read(read, tries < MOST_NAMES);
      if (held === null) return config;
      this.#named(held);
    }
  }

  /** @returns the peer whose name for what is dialled the server does not take now; `null`: it has read all */
  async #read(config: RenderedConfig, mayRename: boolean): Promise<string | null> {
    await this.#options.write(config);
    try {
      await this.#options.system.reload();
      return null;
    } catch (error) {
      const held = HELD_REMOTE.exec(errorText(error))?.[1];
      if (held !== undefined && mayRename) return held;
      // What the server refuses must not stay where it reads: its next start would fail. One that does not answer is another thing:
      // when it starts, it must not let in again who was just shut out.
      if (isRefusal(error)) {
        const { state, retired, at } = this.#base;
        const open = this.#narrowed === null ? this.#inForce.config : this.#render(state, retired, at);
        const before = this.#quiet ? this.#quietOf(state, retired, at) : open;
        await this.#options.write(before);
      }
      throw error;
    }
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  #retired(state: DesiredState): string[] {
    const wanted = new Set(state.tenants.map((tenant) => tenant.name));
    const there = this.#possible.flatMap((one) => one.state.tenants);
    const gone = there.map((tenant) => tenant.name).filter((name) => !wanted.has(name));
    return [...new Set([...this.#inForce.retired.filter((name) => !wanted.has(name)), ...gone])].sort();
  }
}

/** A state that was written for the server to read: whose users were let in then, and its configuration. */
interface Doubtful extends LetIn {
  readonly text: string;
}

/** A state that lets in fewer than the one before, with what its configuration is rendered from. */
type Narrowed = Pick<InForce, "state" | "retired" | "at">;

function isRefusal(error: unknown): boolean {
  return error instanceof LeafmeshError && error.code === "server_config_refused";
}

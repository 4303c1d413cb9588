/**
 * Keeps one server of a clustered site as the state wants it, beside a sidecar that does not lead: after every change by itself, and
 * when the one that leads asks for it, which waits for the answer.
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import type { DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { serverSubject } from "../model/names.ts";
import { sleep } from "../nats/wait.ts";
import { type ServerAnswer, ServerRequest } from "./other_servers.ts";
import type { SiteServer } from "./site_server.ts";
import { UserExpiry } from "./user_expiry.ts";

const POLL_MS = 20;
/** What the state of the one that leads has, this one hears a little later. */
const HEAR_WITHIN_MS = 10_000;
/** Looked at again at this pace: what failed is tried again. */
const EVERY_MS = 2000;

export interface ServerFollowerOptions {
  readonly site: string;
  readonly member: string;
  readonly nc: NatsConnection;
  readonly desired: () => { readonly state: DesiredState; readonly revision: number };
  readonly server: Pick<SiteServer, "configure" | "revoke">;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class ServerFollower implements AsyncDisposable {
  readonly #options: ServerFollowerOptions;
  readonly #subscription: Subscription;
  readonly #expiry: UserExpiry;
  readonly #timer: ReturnType<typeof setInterval>;
  #work: Promise<unknown> = Promise.resolve();
  #ended = false;
  #said = "";

  constructor(options: ServerFollowerOptions) {
    this.#options = options;
    const { site, member, nc } = options;
    this.#expiry = new UserExpiry(() => this.changed());
    this.#subscription = nc.subscribe(serverSubject(site, member), {
      callback: (error, message) => {
        if (error === null) void this.#answer(message);
      },
    });
    this.#timer = setInterval(() => this.changed(), EVERY_MS);
  }

  /** The state has changed. */
  changed(): void {
    if (this.#ended) return;
    this.#expiry.sync(this.#options.desired().state);
    void this.configure().catch(() => undefined);
  }

  /** Brings what the state asks for into force. @throws {LeafmeshError} when the server does not take it */
  async configure(): Promise<void> {
    const work = this.#work.then(() => this.#configure());
    this.#work = work.catch(() => undefined);
    await work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#expiry[Symbol.dispose]();
    this.#subscription.unsubscribe();
    await this.#work;
  }

  async #configure(): Promise<void> {
    const { server, desired, log } = this.#options;
    try {
      const { state } = desired();
      // What fails of it fails again with the rest, or is done with it.
      const gone = await server.revoke(state).catch((): readonly string[] => []);
      for (const user of gone) log("info", `user ${user} is no longer let in; its connections are closed`);
      await server.configure(state);
      this.#said = "";
    } catch (error) {
      const said = errorText(error);
      if (said !== this.#said) log("error", `this server is not as the state wants it: ${said}`);
      this.#said = said;
      throw error;
    }
  }

  async #answer(message: Msg): Promise<void> {
    let answer: ServerAnswer = { ok: true };
    try {
      const { revision } = ServerRequest.parse(message.json());
      await this.#hear(revision);
      await this.configure();
    } catch (error) {
      answer = { error: errorText(error) };
    }
    message.respond(JSON.stringify(answer));
  }

  /** Waits until the state here is no older. */
  async #hear(revision: number): Promise<void> {
    const until = performance.now() + HEAR_WITHIN_MS;
    while (this.#options.desired().revision < revision) {
      if (this.#ended || performance.now() > until) {
        throw new LeafmeshError("timeout", `has not heard of revision ${revision} of the state`);
      }
      await sleep(POLL_MS);
    }
  }
}

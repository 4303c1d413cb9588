/**
 * The other servers of a clustered site, as the sidecar that leads sees them: each has a sidecar of its own beside it, which
 * writes and reloads its configuration from the same state when it is asked to.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { serverSubject } from "../model/names.ts";
import type { SystemApi } from "../nats/system_api.ts";

/** A sidecar reads the state as far as it is asked to, and has its server reload. */
const WITHIN_MS = 15_000;

/** What is asked of the sidecar beside a server: a configuration from no older a state than this. */
export const ServerRequest = z.object({ revision: z.number() });
export const ServerAnswer = z.union([z.object({ ok: z.literal(true) }), z.object({ error: z.string() })]);
export type ServerAnswer = z.infer<typeof ServerAnswer>;

export interface OtherServersOptions {
  readonly site: string;
  readonly nc: NatsConnection;
  readonly system: Pick<SystemApi, "otherServers">;
}

interface OtherServer {
  readonly id: string;
  /** Its name among the servers of the site. */
  readonly member: string;
}

export class OtherServers {
  readonly #options: OtherServersOptions;
  #there: readonly OtherServer[] = [];
  /** By server id: the configuration, as ours tells it apart from others, that it has an equal of in force. */
  readonly #confirmed = new Map<string, string>();

  constructor(options: OtherServersOptions) {
    this.#options = options;
  }

  /** Looks which servers are there. One that was started anew is another one. */
  async look(): Promise<void> {
    const { site, system } = this.#options;
    this.#there = (await system.otherServers()).map(({ id, name }) => ({
      id,
      member: name.slice(site.length + 1),
    }));
    const ids = new Set(this.#there.map(({ id }) => id));
    for (const id of this.#confirmed.keys()) if (!ids.has(id)) this.#confirmed.delete(id);
  }

  /** Names of those that are there. */
  members(): readonly string[] {
    return this.#there.map(({ member }) => member).sort();
  }

  /** Servers that are there, of which it is not known that they have the same configuration as this text. */
  pending(text: string): readonly string[] {
    return this.#pending(text).map(({ member }) => member);
  }

  /**
   * Has every server that is there make its configuration from no older a state than `revision`.
   * @throws LeafmeshError `server_failed` naming those that were not reached, after all were asked
   */
  async configure(text: string, revision: number): Promise<void> {
    await this.look();
    const failed = await Promise.all(
      this.#pending(text).map(async (server): Promise<string[]> => {
        // What is not answered may be done all the same.
        this.#confirmed.delete(server.id);
        try {
          await this.#ask(server.member, revision);
          this.#confirmed.set(server.id, text);
          return [];
        } catch (error) {
          return [`${server.member} (${errorText(error)})`];
        }
      }),
    );
    const names = failed.flat();
    if (names.length === 0) return;
    throw new LeafmeshError(
      "server_failed",
      `The change is not in force at every server of the site; not reached: ${names.join(", ")}`,
    );
  }

  #pending(text: string): readonly OtherServer[] {
    return this.#there.filter(({ id }) => this.#confirmed.get(id) !== text);
  }

  async #ask(member: string, revision: number): Promise<void> {
    const { nc, site } = this.#options;
    const request = JSON.stringify({ revision } satisfies z.infer<typeof ServerRequest>);
    const reply = await nc.request(serverSubject(site, member), request, { timeout: WITHIN_MS });
    const answer = ServerAnswer.parse(reply.json());
    if ("error" in answer) throw new LeafmeshError("server_failed", answer.error);
  }
}

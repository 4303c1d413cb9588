/** The world under attack by an app of acme at berlin, and what such an app can have done. */
import { type ConsumerConfig, jetstream, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { accountHash, MESH_ACCOUNT } from "../../../src/model/names.ts";
import { type Attacker, arrives, besiege, publishes } from "./attempt.ts";

/** Starts the world. */
export function besiegeByApp() {
  const siege = besiege();
  /** Whoever listens in acme's own account hears what acme does there. */
  const attempt: typeof siege.attempt = (name, attack, options = {}) =>
    siege.attempt(name, attack, { ...options, allow: [/^berlin\/inbox\/acme$/, ...(options.allow ?? [])] });

  const HASH = accountHash(MESH_ACCOUNT);
  /** What apps do in their own account is their own affair; it is cleared away again by each attempt. */
  const OWN = [
    ...publishes("berlin", "acme"),
    ...arrives("berlin", "acme", "austin"),
    ...arrives("berlin", "acme", "tokyo"),
  ];
  const app = (a: Attacker) => a.app("berlin", "acme");

  /** Publishes under each subject; nobody but acme may notice. @returns what the server refused */
  async function publishAll(a: Attacker, subjects: readonly string[], reply?: string): Promise<string> {
    const client = await a.raw("berlin", { key: a.world.at("berlin").site.appKey("acme") });
    for (const subject of subjects) client.publish(subject, a.mark, reply);
    await client.ping();
    await a.settle();
    return client.errors === "" ? `nobody listens to ${subjects.join(", ")}` : client.errors;
  }

  /** Has the server itself send a message of acme to `target`: by a consumer, and by a republishing stream. */
  async function deputies(a: Attacker, target: string, payload: string): Promise<string> {
    const nc = await app(a);
    const jsm = await jetstreamManager(nc);
    const said: string[] = [];
    const make = async (name: string, config: Partial<StreamConfig>) => {
      try {
        await jsm.streams.add({ name, subjects: [`${name}.x`], ...config });
        a.onEnd(() => deleteStream(a, name));
        return true;
      } catch (error) {
        said.push(String(error));
        return false;
      }
    };
    if (await make("deputy1", {})) {
      await jsm.consumers
        .add("deputy1", {
          durable_name: "deputy",
          deliver_subject: target,
          ack_policy: "none",
        } as ConsumerConfig)
        .catch((error: unknown) => said.push(String(error)));
      await jetstream(nc).publish("deputy1.x", payload);
    }
    if (await make("deputy2", { republish: { src: "deputy2.x", dest: target } }))
      await jetstream(nc).publish("deputy2.x", payload);
    await a.settle(nc);
    return said.join("; ") || `${target} led nowhere`;
  }

  async function deleteStream(a: Attacker, name: string): Promise<void> {
    const nc = await a.world.at("berlin").site.app("acme");
    await (await jetstreamManager(nc)).streams.delete(name).catch(() => false);
    await nc.close();
  }

  /** Asks each; no answer may be anything but an error. */
  async function askAll(a: Attacker, subjects: readonly string[], payload = ""): Promise<string> {
    const nc = await app(a);
    const said = await Promise.all(subjects.map((subject) => a.unanswered(nc, subject, payload)));
    return said.join("; ");
  }

  /** Hears nothing that another account, or the mesh, says meanwhile. */
  async function overhear(a: Attacker, nc: NatsConnection, subjects: readonly string[]): Promise<string> {
    const heard: string[] = [];
    for (const subject of subjects) {
      nc.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) heard.push(`${message.subject} ${message.string()}`);
        },
      });
    }
    await a.settle(nc);
    const other = await a.app("berlin", "globex");
    await jetstream(other).publish("globex.deals.overheard", "secret-globex overheard");
    a.world.at("berlin").control.mesh.publish("berlin.globex.plain", "secret-globex plain");
    await a.settle(nc, other);
    a.unrevealed(heard.join("\n"));
    const foreign = heard.filter((line) => /globex|initech/.test(line));
    if (foreign.length > 0) throw new Error(`Heard ${foreign.join("; ")}`);
    return `${subjects.join(", ")}: nothing of others`;
  }
  const GLOBEX = [...publishes("berlin", "globex"), ...arrives("berlin", "globex", "austin")];
  return { attempt, HASH, OWN, GLOBEX, app, publishAll, deputies, askAll, overhear };
}

/** An app of acme at berlin, against other tenants and the mesh: what it publishes, and what it has the server send. */
import { type ConsumerConfig, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { besiegeByApp } from "./tenant_siege.ts";

const { attempt, HASH, OWN, app, publishAll, deputies } = besiegeByApp();

attempt("tenant app: publishes events of other tenants under all their names", async (a) =>
  publishAll(a, [
    "globex.deals.forged",
    "berlin.globex.deals.forged",
    "austin.globex.deals.forged",
    "initech.forged",
    "berlin~orders.acme.orders.forged",
    "dlq.globex.forged",
    "out_globex",
    "in_globex",
  ]),
);

attempt("tenant app: publishes an event in the name of another site", async (a) =>
  publishAll(a, ["austin.acme.orders.forged", "tokyo.acme.public.forged", "berlin.acme.orders.forged"]),
);

attempt(
  "tenant app: has the PubAck of its event sent to other tenants and the mesh",
  async (a) => {
    const client = await a.raw("berlin", { key: a.world.at("berlin").site.appKey("acme") });
    for (const reply of [
      "globex.forged",
      "berlin.globex.forged",
      "mesh.API.CONSUMER.RESET.out_globex.log_",
      "mesh.berlin.rpc.tokyo.sync",
      "$KV.leafmesh_state.site",
      "$SYS.REQ.SERVER.PING.CONNZ",
    ]) {
      client.publish("acme.private.redirected", a.mark, reply);
    }
    await client.ping();
    return client.errors || "the answers stay in the account";
  },
  { allow: OWN },
);

attempt(
  "tenant app: has messages of its log sent to other tenants by MSG.NEXT",
  async (a) => {
    const nc = await app(a);
    const jsm = await jetstreamManager(nc);
    await jsm.consumers.add("acme", { durable_name: "redirect", ack_policy: "none" } as ConsumerConfig);
    for (const reply of ["globex.forged", "berlin.globex.forged", "mesh.local.globex.API.STREAM.NAMES"])
      nc.publish("$JS.API.CONSUMER.MSG.NEXT.acme.redirect", '{"batch":1,"no_wait":true}', { reply });
    await a.settle(nc);
    await jsm.consumers.delete("acme", "redirect");
    return "they stay in the account";
  },
  { allow: OWN },
);

attempt(
  "tenant app: has the server deliver into another tenant",
  async (a) => deputies(a, "berlin.globex.deals.forged", a.mark),
  { allow: OWN },
);

attempt(
  "tenant app: has the server deliver to a peer's consumer, past the policy",
  async (a) => {
    const said: string[] = [];
    for (const target of [
      "mesh.berlin.deliver.austin.view_acme_orders",
      "mesh.berlin.deliver.tokyo.out_acme",
      "berlin~orders.acme.orders.forged",
    ])
      said.push(await deputies(a, target, a.mark));
    return said.join("; ");
  },
  { allow: OWN },
);

attempt(
  "tenant app: has the server reset and acknowledge the consumers of peers and of other tenants' logs",
  async (a) => {
    const said: string[] = [];
    for (const target of [
      "$JS.API.CONSUMER.RESET.out_acme.austin",
      "$JS.API.CONSUMER.RESET.out_globex.log_",
      "mesh.API.CONSUMER.RESET.out_globex.log_",
      "mesh.berlin.API.CONSUMER.RESET.out_acme.tokyo",
      `$JS.FC.berlin.${HASH}.out_globex.log_.x`,
      `$JS.ACK.berlin.${HASH}.out_acme.view_orders.1.1.1.1.0`,
    ])
      said.push(await deputies(a, target, '{"seq":1}'));
    return said.join("; ");
  },
  { allow: OWN },
);

attempt(
  "tenant app: has the server speak to the sidecar as a peer, or write the site's state",
  async (a) => {
    const said: string[] = [];
    for (const target of [
      "mesh.berlin.rpc.tokyo.sync",
      "$KV.leafmesh_state.peer.evil",
      "mesh.local.globex.API.STREAM.NAMES",
    ])
      said.push(await deputies(a, target, a.mark));
    return said.join("; ");
  },
  { allow: OWN },
);

attempt(
  "tenant app: sources and mirrors streams of others through every API prefix that it knows",
  async (a) => {
    const nc = await app(a);
    const jsm = await jetstreamManager(nc);
    const said: string[] = [];
    let count = 0;
    for (const api of [
      "mesh.API",
      "$JS.API",
      "$JS.berlin.API",
      "mesh.berlin.API",
      "mesh.local.globex.API",
      "mesh.austin.API",
    ]) {
      for (const stream of ["out_globex", "globex"]) {
        const name = `thief${count++}`;
        const source = { name: stream, external: { api, deliver: "thief.deliver" } };
        try {
          await jsm.streams.add({ name, sources: [source] } as StreamConfig);
          await a.settle(nc);
          const { state } = await jsm.streams.info(name);
          if (state.messages > 0) throw new Error(`${api} gave ${state.messages} messages of ${stream}`);
          said.push(`${api}: nothing`);
        } catch (error) {
          if (!/overlap/.test(String(error))) throw error;
          said.push(String(error));
        } finally {
          await jsm.streams.delete(name).catch(() => false);
        }
      }
    }
    return said.join("; ");
  },
  { allow: OWN },
);

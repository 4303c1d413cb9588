/** What users of a tenant try beyond their roles: publishers, subscribers, apps, owners, and those who are users no more. */
import { describe } from "bun:test";
import { hash } from "bcryptjs";
import {
  ackSubject,
  flowControlSubject,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  logDeliverSubject,
  MESH_ACCOUNT,
  outStream,
  userInbox,
} from "../../../src/model/names.ts";
import type { SiteFile } from "../../../src/model/schema/site.ts";
import type { TenantUser } from "../../../src/model/schema/user.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { freePorts } from "../../support/free_ports.ts";
import { MqttClient } from "../../support/mqtt.ts";
import type { RawClient } from "../../support/raw_client.ts";
import { type Attacker, besiege, publishes } from "./attempt.ts";

const PASSWORD = "a password of somebody's choice";
const passwordHash = await hash(PASSWORD, 4);
const [mqttPort] = await freePorts("127.0.0.1", 1);
const MQTT = `127.0.0.1:${mqttPort}`;
const KEYS = new Map(
  ["pub", "sub", "reader", "victim", "own", "expired"].map((name) => [name, createSigningKey()] as const),
);
const keyOf = (name: string) => KEYS.get(name) ?? createSigningKey();
const user = (name: string, more: Partial<TenantUser>): TenantUser => ({
  name,
  key: keyOf(name).publicKey,
  ...more,
});
const USERS: readonly TenantUser[] = [
  user("pub", { role: "publisher", subjects: ["acme.orders.>"] }),
  user("sub", { role: "subscriber", subjects: ["acme.orders.>"] }),
  user("reader", { role: "subscriber", subjects: ["acme.orders.>"], log: true }),
  user("victim", { role: "subscriber", log: true }),
  user("own", { role: "owner" }),
  user("expired", { role: "owner", expires: "2020-01-01T00:00:00Z" }),
  { name: "plain", passwordHash, role: "publisher" },
  { name: "sensor", passwordHash, mqtt: true, role: "publisher", subjects: ["acme.plant.>"] },
  { name: "screen", passwordHash, mqtt: true, role: "subscriber", subjects: ["acme.plant.>"] },
];

function edit(file: SiteFile): SiteFile {
  if (file.site !== "berlin") return file;
  const tenants = file.tenants?.map((tenant) => {
    if (tenant.tenant === "acme") return { ...tenant, users: [...(tenant.users ?? []), ...USERS] };
    const phone: TenantUser = { name: "phone", passwordHash, mqtt: true };
    return tenant.tenant === "globex"
      ? { ...tenant, limits: { ...tenant.limits, connections: 4 }, users: [...(tenant.users ?? []), phone] }
      : tenant;
  });
  return { ...file, server: { ...file.server, mqtt: MQTT }, ...(tenants === undefined ? {} : { tenants }) };
}

/** A first client of MQTT makes the server make the streams of its tenant: before the attempts begin. */
const { attempt } = besiege({ edit }, async () => {
  for (const login of ["acme.screen", "globex.phone"]) {
    const client = await MqttClient.open({
      address: MQTT,
      clientId: "first",
      user: login,
      password: PASSWORD,
    });
    await client.subscribe(login === "acme.screen" ? "acme/plant/#" : "globex/#", 1);
    client[Symbol.dispose]();
  }
});

async function as(attacker: Attacker, name: string): Promise<RawClient> {
  return await attacker.raw("berlin", { key: keyOf(name) });
}

/** Publishes by hand. @returns the refusal @throws when there is none */
async function refusedPublish(
  client: RawClient,
  subject: string,
  payload: string,
  reply = "",
): Promise<string> {
  client.publish(subject, payload, reply);
  await client.ping();
  if (!/Permissions Violation for Publish/.test(client.errors)) throw new Error(`${subject} was taken`);
  return client.errors;
}

async function refusedSubscribe(client: RawClient, subject: string): Promise<string> {
  client.subscribe(subject, "9");
  await client.ping();
  if (!/Permissions Violation for Subscription/.test(client.errors)) throw new Error(`${subject} was taken`);
  return client.errors;
}

async function refusedLogin(attacker: Attacker, connect: Record<string, unknown>): Promise<string> {
  const client = await attacker.raw("berlin", { connect });
  await client.gone();
  if (!/Authorization Violation/.test(client.errors)) throw new Error(`let in: ${client.lines.join(" | ")}`);
  return client.errors;
}

const RESET = `${LOG_API_PREFIX}.CONSUMER.RESET.${outStream("acme")}.${LOG_CONSUMER}`;
const FLOW = flowControlSubject("berlin", outStream("acme"), LOG_CONSUMER).replace(">", "abcd");
const ACK = ackSubject("berlin", MESH_ACCOUNT, outStream("acme"), LOG_CONSUMER).replace(">", "1.1.1.1.1");

describe.each(["pub", "sub", "reader", "own"])("%s", (name) => {
  const forbidden: readonly (readonly [string, string])[] = [
    ["resets the log's consumer", RESET],
    ["forges flow control of the log", FLOW],
    ["acknowledges for the log", ACK],
    ["empties the log", "$JS.API.STREAM.PURGE.acme"],
    ["removes the log, by the domain's prefix", "$JS.berlin.API.STREAM.DELETE.acme"],
    ["takes the events of another reader", "$JS.API.CONSUMER.MSG.NEXT.acme.user_victim"],
    ["removes the consumer of another reader", "$JS.API.CONSUMER.DELETE.acme.user_victim"],
    ["lists the connections of all tenants", "$SYS.REQ.SERVER.PING.CONNZ"],
    ["asks the API of another tenant", "mesh.local.globex.API.STREAM.NAMES"],
  ];
  for (const [what, subject] of forbidden) {
    attempt(`${name}: ${what}`, async (attacker) =>
      refusedPublish(await as(attacker, name), subject, '{"seq":1}', `${userInbox(name)}.x`),
    );
  }
  attempt(`${name}: listens to the replies of another user`, async (attacker) =>
    refusedSubscribe(await as(attacker, name), `${userInbox("victim")}.>`),
  );
  attempt(`${name}: listens to what is delivered to the log`, async (attacker) =>
    refusedSubscribe(await as(attacker, name), logDeliverSubject("acme", outStream("acme"))),
  );
});

describe("a publisher", () => {
  for (const [what, subject] of [
    ["publishes beyond its subjects", "acme.invoices.1"],
    ["publishes events of another tenant", "globex.deals.2"],
    ["publishes under a stored subject", "berlin.acme.orders.9"],
    ["makes a stream", "$JS.API.STREAM.CREATE.ear"],
    ["makes a push consumer on the log", "$JS.API.CONSUMER.CREATE.acme.deputy"],
    ["reads the log directly", "$JS.API.DIRECT.GET.acme"],
  ] as const) {
    attempt(`publisher: ${what}`, async (attacker) =>
      refusedPublish(await as(attacker, "pub"), subject, attacker.mark, "_INBOX_.pub.x"),
    );
  }
  attempt("publisher: subscribes to the tenant's events", async (attacker) =>
    refusedSubscribe(await as(attacker, "pub"), "acme.>"),
  );
  attempt(
    "publisher: has its PubAck reset the log",
    async (attacker) => {
      const client = await as(attacker, "pub");
      client.publish("acme.orders.x", attacker.mark, RESET);
      await client.ping();
      return "the event is stored, and the log stands where it stood";
    },
    { allow: publishes("berlin", "acme") },
  );
  attempt(
    "publisher: has its PubAck sent to another tenant",
    async (attacker) => {
      const client = await as(attacker, "pub");
      client.publish("acme.orders.x", attacker.mark, "globex.forged");
      await client.ping();
      return "nobody of the other tenant hears of it";
    },
    { allow: publishes("berlin", "acme") },
  );
  attempt("publisher: has a trace sent where it may not publish", async (attacker) => {
    const client = await as(attacker, "pub");
    client.publishHeaders(
      "acme.orders.t",
      "NATS/1.0\r\nNats-Trace-Dest: acme.invoices.t\r\n\r\n",
      attacker.mark,
    );
    await client.ping();
    return `dropped whole ${client.errors}`;
  });
});

describe("a subscriber", () => {
  for (const [what, subject] of [
    ["publishes an event", "acme.orders.9"],
    ["sends a reply", "_INBOX.somebody.1"],
    ["asks who it is", "$SYS.REQ.USER.INFO"],
    ["makes a consumer of its own", "$JS.API.CONSUMER.CREATE.acme.user_reader"],
    ["asks about the log", "$JS.API.STREAM.INFO.acme"],
    ["reads all of the log", "$JS.API.STREAM.MSG.GET.acme"],
  ] as const) {
    attempt(`subscriber with log: ${what}`, async (attacker) =>
      refusedPublish(await as(attacker, "reader"), subject, attacker.mark, "_INBOX_.reader.x"),
    );
  }
  for (const [what, subject] of [
    ["hears beyond its subjects", "acme.invoices.>"],
    ["hears everything", ">"],
    ["hears the shared inboxes", "_INBOX.>"],
    ["hears what MQTT clients are sent", "$MQTT.sub.>"],
    ["hears the advisories", "$JS.EVENT.>"],
    ["poses as JetStream", "$JS.API.CONSUMER.INFO.acme.user_victim"],
  ] as const) {
    attempt(`subscriber: ${what}`, async (attacker) => refusedSubscribe(await as(attacker, "sub"), subject));
  }
  attempt(
    "subscriber with log: has an answer sent to another tenant",
    async (attacker) => {
      const client = await as(attacker, "reader");
      client.publish("$JS.API.CONSUMER.INFO.acme.user_reader", "", "globex.forged");
      await client.ping();
      return "nobody of the other tenant hears of it";
    },
    // In the account of its own tenant it is heard: docs/users.md says so.
    { allow: [/^berlin\/inbox\/acme$/] },
  );
  attempt("subscriber with log: has an answer reset the log", async (attacker) => {
    const client = await as(attacker, "reader");
    client.publish("$JS.API.CONSUMER.INFO.acme.user_reader", "", RESET);
    await client.ping();
    return "the log stands where it stood";
  });
});

describe("an app", () => {
  const key = (world: Attacker["world"]) => world.at("berlin").site.appKey("acme");
  for (const [what, subject] of [
    ["reads the sessions of MQTT clients", "$JS.API.STREAM.MSG.GET.$MQTT_sess"],
    ["forges a message of an MQTT session", "$MQTT.msgs.acme.plant.x"],
    ["takes the place of a reader's consumer", "$JS.API.CONSUMER.CREATE.acme.user_reader"],
    ["acknowledges for a reader", "$JS.ACK.berlin.K7DU2Edn.acme.user_reader.1.1.1.1.1"],
    ["has the log's content sent somewhere", "$JS.API.STREAM.SNAPSHOT.acme"],
  ] as const) {
    attempt(`app: ${what}`, async (attacker) =>
      refusedPublish(await attacker.raw("berlin", { key: key(attacker.world) }), subject, "{}", "_INBOX.x"),
    );
  }
  attempt("app: hears what another site sends to the log", async (attacker) =>
    refusedSubscribe(await attacker.raw("berlin", { key: key(attacker.world) }), "tokyo.acme.>"),
  );
});

describe("nobody", () => {
  attempt("nobody: logs in as a user that has expired", async (attacker) => {
    const client = await as(attacker, "expired");
    await client.gone();
    return client.errors;
  });
  attempt("nobody: guesses a password", (attacker) =>
    refusedLogin(attacker, { user: "acme.plain", pass: "wrong" }),
  );
  attempt("nobody: gives the hash in the place of the password", (attacker) =>
    refusedLogin(attacker, { user: "acme.plain", pass: passwordHash }),
  );
  attempt("nobody: logs in without the tenant's name", (attacker) =>
    refusedLogin(attacker, { user: "plain", pass: PASSWORD }),
  );
  attempt("MQTT user: logs in over NATS", (attacker) =>
    refusedLogin(attacker, { user: "acme.screen", pass: PASSWORD }),
  );
  attempt("user of NATS: logs in over MQTT", async (attacker) => {
    const client = await mqtt(attacker, "acme.plain", "plain");
    if (client.code === 0) throw new Error("let in");
    return `return code ${client.code}`;
  });
});

async function mqtt(attacker: Attacker, user: string, clientId: string): Promise<MqttClient> {
  const client = await MqttClient.open({ address: MQTT, clientId, user, password: PASSWORD });
  attacker.onEnd(() => client[Symbol.dispose]());
  return client;
}

describe("MQTT", () => {
  const sessions = [/^berlin\/T_(acme|globex)\/\$MQTT_/];
  attempt(
    "MQTT user: takes over the client id of another tenant",
    async (attacker) => {
      const victim = await mqtt(attacker, "globex.phone", "shared-id");
      const thief = await mqtt(attacker, "acme.screen", "shared-id");
      if (victim.code !== 0 || thief.code !== 0) throw new Error(`codes ${victim.code}, ${thief.code}`);
      if ((await victim.subscribe("globex/none/#", 0)) !== 0 || victim.closed) throw new Error("thrown out");
      return "both are connected, each to its own session";
    },
    { allow: sessions },
  );
  attempt(
    "MQTT user: subscribes beyond its subjects, and to what others are sent",
    async (attacker) => {
      const client = await mqtt(attacker, "acme.screen", "screen-2");
      const granted: number[] = [];
      for (const filter of ["acme/orders/#", "#", "$MQTT/sub/#", "mesh/#", "globex/#"]) {
        granted.push(await client.subscribe(filter, 1));
      }
      if (granted.some((code) => code !== 128)) throw new Error(`granted ${granted.join()}`);
      return "128, each time";
    },
    { allow: sessions },
  );
  attempt(
    "MQTT user: publishes beyond its subjects",
    async (attacker) => {
      const client = await mqtt(attacker, "acme.sensor", "sensor-2");
      await client.publish("acme/orders/9", attacker.mark, 0);
      await client.publish("globex/deals/9", attacker.mark, 0);
      await client.publish("mesh/API/CONSUMER/RESET/out_acme/log_", '{"seq":1}', 0);
      // Answered after those, or the connection is closed.
      await client.subscribe("acme/plant/#", 0);
      return "nothing of it arrives";
    },
    { allow: sessions },
  );
});

describe("quotas", () => {
  attempt("app: opens more connections than its tenant has", async (attacker, world) => {
    const own = world.at("berlin").site.appKey("globex");
    const clients: RawClient[] = [];
    // One is the listener's.
    for (let i = 0; i < 4; i++) clients.push(await attacker.raw("berlin", { key: own }));
    const last = clients.at(-1) as RawClient;
    await last.gone();
    if (clients.filter(({ closed }) => closed).length !== 1) throw new Error("another one was closed");
    const other = await attacker.app("berlin", "acme");
    await other.flush();
    return last.errors;
  });
});

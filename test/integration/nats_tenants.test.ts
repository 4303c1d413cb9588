/** What a tenant's app can do in its own account, and that nothing of it reaches another's or the mesh's plumbing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import {
  flowControlSubject,
  LOG_CONSUMER,
  logDeliverSubject,
  logStream,
  outStream,
  tenantApiPrefix,
} from "../../src/model/names.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { makeTenantStreams } from "../support/native_routes.ts";
import { startSites, type TestSite, type TestSites } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

let sites: TestSites;
let berlin: TestSite;
/** The attacker's app, and the other tenant's. */
let acme: NatsConnection;
let globex: NatsConnection;

beforeAll(async () => {
  sites = await startSites({ sites: { berlin: { tenants: ["acme", "globex"] } } });
  berlin = sites.site("berlin");
  await makeTenantStreams(berlin, "acme");
  await makeTenantStreams(berlin, "globex");
  acme = await berlin.app("acme");
  globex = await berlin.app("globex");
  // Until its log has attached, whoever listens to what is delivered to it makes the consumer deliver too early.
  await jetstream(globex).publish("globex.warm", "warm");
  await logged("globex");
}, 60_000);

afterAll(async () => await sites?.[Symbol.asyncDispose]());

/** Collects `subject payload` of all that a connection hears. */
function hear(connection: NatsConnection, subject: string): string[] {
  const got: string[] = [];
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) got.push(`${message.subject} ${message.string()}`);
    },
  });
  return got;
}

/** Resolves when everything that was sent before has gone where it can go. */
async function settle(): Promise<void> {
  for (let i = 0; i < 2; i++) for (const connection of [acme, globex, berlin.mesh]) await connection.flush();
}

async function messagesOf(tenant: string): Promise<number> {
  return (await (await jetstreamManager(berlin.mesh)).streams.info(outStream(tenant))).state.messages;
}

/** Resolves when the tenant's log has all that its out stream has. */
async function logged(tenant: string): Promise<void> {
  const log = await jetstreamManager(await berlin.app(tenant));
  const count = await messagesOf(tenant);
  await waitFor(async () => (await log.streams.info(logStream(tenant))).state.messages >= count, {
    what: `the log of ${tenant}`,
    deadlineMs: 30_000,
  });
}

/** The subject that the server refused while `action` ran; fails when it refused none. */
async function refused(
  action: (connection: NatsConnection) => unknown,
): Promise<{ operation: string; subject: string }> {
  const connection = await berlin.app("acme");
  const found: PermissionViolationError[] = [];
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === "error" && status.error instanceof PermissionViolationError)
        found.push(status.error);
    }
  })();
  await Promise.resolve(action(connection)).catch(() => {});
  const first = await waitFor(() => found[0], { deadlineMs: 3000, what: "a permissions violation" });
  await connection.close();
  return { operation: first.operation, subject: first.subject };
}

describe("an app in its own account", () => {
  test("publishes with PubAck, keeps order and headers, and is heard by its own subscribers at once", async () => {
    const heard = hear(acme, "acme.orders.>");
    await acme.flush();
    const ack = await jetstream(acme).publish("acme.orders.1", "one", { msgID: "id-1" });
    expect(ack).toMatchObject({ stream: "out_acme", domain: "berlin", duplicate: false });
    const again = await jetstream(acme).publish("acme.orders.1", "one", { msgID: "id-1" });
    expect(again.duplicate).toBe(true);
    await waitFor(() => heard.length >= 2, { what: "the subscriber's events" });
    expect(heard).toEqual(["acme.orders.1 one", "acme.orders.1 one"]);
  });

  test("reads its log with pull, push and ordered consumers", async () => {
    const manager = await jetstreamManager(acme);
    const log = logStream("acme");
    await waitFor(async () => (await manager.streams.info(log)).state.messages > 0, { what: "the log" });

    await manager.consumers.add(log, { durable_name: "pull", ack_policy: "explicit" });
    const consumer = await jetstream(acme).consumers.get(log, "pull");
    const pulled = await consumer.next({ expires: 2000 });
    expect(pulled?.string()).toBe("one");
    expect(await pulled?.ackAck()).toBe(true);

    const ordered = await jetstream(acme).consumers.get(log);
    expect((await ordered.next({ expires: 2000 }))?.string()).toBe("one");

    const pushed = hear(acme, "deliver.push");
    await manager.consumers.add(log, {
      durable_name: "push",
      ack_policy: "none",
      deliver_subject: "deliver.push",
    });
    await waitFor(() => pushed.length > 0, { what: "the push consumer" });
  });

  test("makes streams of its own, and asks and answers on subjects that are no events", async () => {
    const manager = await jetstreamManager(acme);
    await manager.streams.add({ name: "own", subjects: ["own.>"] });
    expect((await jetstream(acme).publish("own.a", "x")).stream).toBe("own");
    await manager.streams.delete("own");

    const other = await berlin.app("acme");
    other.subscribe("svc.time", { callback: (_, message) => void message.respond("noon") });
    await other.flush();
    expect((await acme.request("svc.time", "")).string()).toBe("noon");
    expect((await acme.request("$SYS.REQ.USER.INFO", "")).json()).toMatchObject({
      data: { account: "T_acme" },
    });
  });
});

describe("an app cannot reach another tenant", () => {
  test("by publishing its subjects, stored or plain, or by a reply subject", async () => {
    const heard = hear(globex, ">");
    await globex.flush();
    const before = await messagesOf("globex");
    for (const subject of [
      "globex.forged",
      "berlin.globex.forged",
      "tokyo.globex.forged",
      "dlq.globex.forged",
    ]) {
      acme.publish(subject, "forged");
    }
    acme.publish("acme.orders.2", "two", { reply: "globex.forged" });
    acme.publish("acme.orders.3", "three", { reply: "berlin.globex.forged" });
    // In its own account the server knows no such stream.
    acme.publish(`$JS.API.CONSUMER.RESET.${outStream("globex")}.${LOG_CONSUMER}`, '{"seq":1}');
    acme.publish(`$JS.API.STREAM.PURGE.${outStream("globex")}`, "");
    await settle();
    expect(heard.filter((line) => !line.startsWith("$JSC.R."))).toEqual([]);
    expect(await messagesOf("globex")).toBe(before);
  });

  test("by making a server-side consumer, stream or source deliver there", async () => {
    const manager = await jetstreamManager(acme);
    const heard = hear(globex, ">");
    await globex.flush();
    const before = await messagesOf("globex");
    // A RESET that got through would have the consumer of the log deliver again from the start.
    const delivered = hear(berlin.mesh, logDeliverSubject("globex", outStream("globex")));
    await berlin.mesh.flush();
    await jetstream(globex).publish("globex.a", "first");
    const targets = [
      "globex.forged",
      "berlin.globex.forged",
      `$JS.API.CONSUMER.RESET.${outStream("globex")}.${LOG_CONSUMER}`,
      `mesh.API.CONSUMER.RESET.${outStream("globex")}.${LOG_CONSUMER}`,
      logDeliverSubject("globex", outStream("globex")),
      flowControlSubject("berlin", outStream("globex"), LOG_CONSUMER).replace(">", "x"),
    ];
    for (const [index, target] of targets.entries()) {
      const deputy = { durable_name: `deputy${index}`, deliver_subject: target, ack_policy: "none" as const };
      await manager.consumers.add(logStream("acme"), deputy).catch(() => {});
      const name = `deputy${index}`;
      await manager.streams
        .add({ name, subjects: [`deputy.${index}`], republish: { src: `deputy.${index}`, dest: target } })
        .catch(() => {});
      await jetstream(acme)
        .publish(`deputy.${index}`, '{"seq":1}')
        .catch(() => {});
      await manager.streams.delete(name).catch(() => {});
      await manager.consumers.delete(logStream("acme"), name).catch(() => {});
    }
    await settle();
    await jetstream(globex).publish("globex.a", "last");
    await waitFor(() => delivered.some((line) => line.endsWith("last")), { what: "the log's delivery" });
    expect(delivered.filter((line) => line.startsWith("globex.") || line.startsWith("berlin."))).toEqual([
      "berlin.globex.a first",
      "berlin.globex.a last",
    ]);
    expect(heard.filter((line) => line.endsWith('{"seq":1}'))).toEqual([]);
    expect(await messagesOf("globex")).toBe(before + 2);
  });

  test("by sourcing its log, even through the mesh's own API prefix", async () => {
    const manager = await jetstreamManager(acme);
    await manager.streams.add({
      name: "thief",
      sources: [
        {
          name: outStream("globex"),
          external: { api: "mesh.API", deliver: "" },
          consumer: { name: LOG_CONSUMER, deliver_subject: logDeliverSubject("globex", outStream("globex")) },
        },
      ],
    });
    await jetstream(globex).publish("globex.b", "mine");
    await logged("globex");
    expect((await manager.streams.info("thief")).state.messages).toBe(0);
    await manager.streams.delete("thief");
  });
});

describe("the server refuses an app", () => {
  const cases: readonly [string, string][] = [
    ["the mesh's API of its own log", `mesh.API.CONSUMER.RESET.${outStream("acme")}.${LOG_CONSUMER}`],
    ["the mesh's API of another's log", `mesh.API.CONSUMER.RESET.${outStream("globex")}.${LOG_CONSUMER}`],
    ["the JetStream API of another tenant", `${tenantApiPrefix("globex")}.STREAM.NAMES`],
    ["a peer's plumbing", "mesh.tokyo.deliver.berlin.out_acme"],
    ["flow control of its own log", flowControlSubject("berlin", outStream("acme"), LOG_CONSUMER)],
    ["flow control of a peer's route", flowControlSubject("berlin", outStream("globex"), "tokyo")],
    ["a list of all connections", "$SYS.REQ.SERVER.PING.CONNZ"],
    ["a list of all connections of accounts", "$SYS.REQ.ACCOUNT.PING.CONNZ"],
    ...["CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE"].flatMap(
      (verb): [string, string][] => [
        [`${verb} of its log`, `$JS.API.STREAM.${verb}.${logStream("acme")}`],
        [`${verb} of its log by domain`, `$JS.berlin.API.STREAM.${verb}.${logStream("acme")}`],
      ],
    ),
  ];
  for (const [what, pattern] of cases) {
    test(`${what} (${pattern})`, async () => {
      const subject = pattern.replace(">", "x.y");
      const violation = await refused((connection) =>
        connection.publish(subject, "{}", { reply: "_INBOX.x" }),
      );
      expect(violation.operation).toBe("publish");
    });
  }

  test("to listen on the plumbing or to pose as the JetStream API", async () => {
    for (const subject of ["mesh.>", "mesh.log.acme.*", "$JS.API.>", "$JS.API.STREAM.INFO.acme"]) {
      const violation = await refused((connection) => void connection.subscribe(subject));
      expect(violation).toEqual({ operation: "subscription", subject });
    }
  });

  test("who is nobody", async () => {
    await expect(berlin.connect(createSigningKey(), { reconnect: false })).rejects.toThrow(/authorization/i);
  });
});

describe("a subscription to everything", () => {
  test("shows an app its own account without the plumbing of its log", async () => {
    const heard = hear(acme, ">");
    const sidecarsView = hear(berlin.mesh, logDeliverSubject("acme", "*"));
    await settle();
    await jetstream(acme).publish("acme.seen", "seen");
    await waitFor(() => sidecarsView.some((line) => line.includes("seen")), { what: "the log's delivery" });
    await settle();
    expect(heard.filter((line) => line.startsWith("mesh.") || line.startsWith("$JS.API"))).toEqual([]);
    expect(heard.filter((line) => line.startsWith("globex."))).toEqual([]);
    expect(heard).toContain("acme.seen seen");
  });
});

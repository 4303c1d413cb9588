/** The permissions that roles become. */
import { describe, expect, test } from "bun:test";
import { type DesiredTenant, desiredTenant } from "../../../src/model/desired.ts";
import {
  ackSubject,
  flowControlSubject,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  logDeliverSubject,
  MESH_ACCOUNT,
  outStream,
  tenantAccount,
} from "../../../src/model/names.ts";
import { ROLES, type Role, type TenantUser } from "../../../src/model/schema/user.ts";
import { matches } from "../../../src/model/subject.ts";
import { userPermissions } from "../../../src/nats/roles.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const user = (role: Role, more: Partial<TenantUser> = {}): TenantUser => ({
  name: "bob",
  key: KEY,
  role,
  ...more,
});
const tenantOf = (...users: TenantUser[]): DesiredTenant =>
  desiredTenant({ tenant: "acme", users, imports: [{ from: "tokyo", subjects: ["acme.>"] }] });

interface Rules {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** As nats-server decides: what is denied is, else what is allowed, else all where nothing is listed as allowed. */
function may(
  way: "publish" | "subscribe",
  subject: string,
  who: TenantUser,
  tenant = tenantOf(who),
): boolean {
  const rules = userPermissions("berlin", tenant, who)[way] as unknown as Rules;
  if (rules.deny?.some((pattern) => matches(pattern, subject)) === true) return false;
  return rules.allow === undefined || rules.allow.some((pattern) => matches(pattern, subject));
}

const PLUMBING = [
  `${LOG_API_PREFIX}.CONSUMER.RESET.${outStream("acme")}.${LOG_CONSUMER}`,
  logDeliverSubject("acme", outStream("acme")),
  flowControlSubject("berlin", outStream("acme"), LOG_CONSUMER).replace(">", "x"),
  ackSubject("berlin", MESH_ACCOUNT, outStream("acme"), LOG_CONSUMER).replace(">", "1.1.1.1.1"),
  "_R_.abc.def",
];

describe.each(ROLES.map((role) => [role]))("%s", (role) => {
  test("may not speak on the plumbing, change the log, or ask about other accounts", () => {
    const denied = [
      ...PLUMBING,
      "$JS.API.STREAM.DELETE.acme",
      "$JS.API.STREAM.PURGE.acme",
      "$JS.API.STREAM.UPDATE.acme",
      "$JS.API.STREAM.MSG.DELETE.acme",
      "$JS.API.STREAM.SNAPSHOT.acme",
      "$SYS.REQ.SERVER.PING.CONNZ",
      "$SYS.REQ.ACCOUNT.PING.CONNZ",
    ];
    expect(denied.filter((subject) => may("publish", subject, user(role)))).toEqual([]);
  });

  test("may not hear the plumbing, what is delivered to the log, or private inboxes of others", () => {
    const denied = [
      ...PLUMBING,
      "$JS.API.STREAM.INFO.acme",
      "berlin.acme.x",
      "tokyo.acme.x",
      "_INBOX_.eve.1",
    ];
    expect(denied.filter((subject) => may("subscribe", subject, user(role)))).toEqual([]);
  });

  test("may not touch the consumer of a user of the log", () => {
    const sub: TenantUser = { name: "eve", key: KEY, role: "subscriber", log: true };
    const denied = [
      "$JS.API.CONSUMER.DELETE.acme.user_eve",
      "$JS.API.CONSUMER.CREATE.acme.user_eve",
      "$JS.API.CONSUMER.CREATE.acme.user_eve.acme.>",
      "$JS.API.CONSUMER.DURABLE.CREATE.acme.user_eve",
      "$JS.API.CONSUMER.MSG.NEXT.acme.user_eve",
      "$JS.API.CONSUMER.PAUSE.acme.user_eve",
      "$JS.API.CONSUMER.RESET.acme.user_eve",
      ackSubject("berlin", tenantAccount("acme"), "acme", "user_eve").replace(">", "1.1.1.1.1"),
    ];
    const who = user(role);
    expect(denied.filter((subject) => may("publish", subject, who, tenantOf(who, sub)))).toEqual([]);
  });
});

describe("publisher", () => {
  test("publishes the tenant's subjects, or the narrower ones that it has, and hears its own inbox alone", () => {
    expect(may("publish", "acme.orders.1", user("publisher"))).toBe(true);
    expect(may("publish", "globex.orders.1", user("publisher"))).toBe(false);
    const narrow = user("publisher", { subjects: ["acme.orders.>"] });
    expect(may("publish", "acme.orders.1", narrow)).toBe(true);
    expect(may("publish", "acme.invoices.1", narrow)).toBe(false);
    expect(may("publish", "$JS.API.STREAM.NAMES", narrow)).toBe(false);
    expect(may("subscribe", "_INBOX_.bob.1", narrow)).toBe(true);
    expect(may("subscribe", "_INBOX.1", narrow)).toBe(false);
    expect(may("subscribe", "acme.orders.1", narrow)).toBe(false);
  });
});

describe("subscriber", () => {
  test("publishes nothing at all without log", () => {
    expect(userPermissions("berlin", tenantOf(), user("subscriber")).publish).toEqual({ deny: [">"] });
  });

  test("with log asks for its own consumer alone", () => {
    const who = user("subscriber", { log: true });
    expect(may("publish", "$JS.API.CONSUMER.MSG.NEXT.acme.user_bob", who)).toBe(true);
    expect(may("publish", "$JS.API.CONSUMER.MSG.NEXT.acme.other", who)).toBe(false);
    expect(may("publish", "$JS.API.CONSUMER.CREATE.acme.user_bob", who)).toBe(false);
    expect(may("publish", "acme.orders.1", who)).toBe(false);
  });

  test("hears the subjects that it has, and over MQTT what is above them", () => {
    const who = user("subscriber", { subjects: ["acme.orders.>"] });
    expect(may("subscribe", "acme.orders.1", who)).toBe(true);
    expect(may("subscribe", "acme.orders", who)).toBe(true);
    expect(may("subscribe", "acme.invoices.1", who)).toBe(false);
    expect(may("subscribe", "$MQTT.sub.abc", who)).toBe(false);
    expect(
      may("subscribe", "$MQTT.sub.abc", { name: "bob", passwordHash: "x", mqtt: true, role: "subscriber" }),
    ).toBe(true);
  });
});

describe("app and owner", () => {
  test.each([["app"], ["owner"]] as const)(
    "%s uses JetStream in its account, and any subject that is nobody's",
    (role) => {
      for (const subject of [
        "acme.x",
        "own.x",
        "svc.time",
        "$JS.API.STREAM.CREATE.own",
        "$KV.b.k",
        "_INBOX.1",
      ]) {
        expect(may("publish", subject, user(role))).toBe(true);
      }
      for (const subject of ["acme.x", "own.x", "_INBOX.1"])
        expect(may("subscribe", subject, user(role))).toBe(true);
    },
  );

  test("the owner alone hears advisories and reaches the sessions of MQTT", () => {
    for (const [role, able] of [
      ["app", false],
      ["owner", true],
    ] as const) {
      expect(may("subscribe", "$JS.EVENT.ADVISORY.API", user(role))).toBe(able);
      expect(may("publish", "$JS.API.STREAM.DELETE.$MQTT_sess", user(role))).toBe(able);
    }
  });
});

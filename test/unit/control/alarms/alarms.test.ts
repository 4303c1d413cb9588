/** Raised, listed, cleared: each is told once. */
import { expect, test } from "bun:test";
import { AlarmWatch } from "../../../../src/control/alarms/alarm_watch.ts";
import { Alarms } from "../../../../src/control/alarms/alarms.ts";
import type { SiteFacts } from "../../../../src/control/alarms/dangers.ts";
import type { LinkReport, RouteReport } from "../../../../src/control/link_api.ts";
import { ALARMS } from "../../../../src/model/alarms.ts";

function started() {
  const lines: string[] = [];
  const alarms = new Alarms({
    now: () => new Date(0),
    log: (level, message) => void lines.push(`${level} ${message}`),
  });
  return { lines, alarms, names: () => alarms.list().map(({ name, target }) => `${name} ${target}`) };
}

test("an alarm is told when it is raised and when it is cleared, news of it are only listed", () => {
  const { lines, alarms } = started();
  alarms.raise("retention-lost", { target: "acme/orders/tokyo", tenant: "acme", detail: "3 events" });
  alarms.raise("retention-lost", { target: "acme/orders/tokyo", tenant: "acme", detail: "4 events" });
  expect(alarms.list()).toEqual([
    {
      name: "retention-lost",
      ...ALARMS["retention-lost"],
      target: "acme/orders/tokyo",
      tenant: "acme",
      peer: null,
      detail: "4 events",
      since: "1970-01-01T00:00:00.000Z",
    },
  ]);
  alarms.clear("retention-lost", "acme/orders/austin");
  alarms.clear("retention-lost", "acme/orders/tokyo");
  alarms.clear("retention-lost", "acme/orders/tokyo");
  expect(alarms.list()).toEqual([]);
  expect(lines).toEqual([
    `error retention-lost raised for acme/orders/tokyo: 3 events. What to do: ${ALARMS["retention-lost"].todo}`,
    "info retention-lost cleared for acme/orders/tokyo",
  ]);
});

test("what happens again is told again, also while the alarm of the time before stands", () => {
  const { lines, alarms } = started();
  for (const detail of ["5 to 9", "5 to 9", "20 to 30"]) {
    alarms.raise("importer-rolled-back", { target: "in_acme", detail });
  }
  const said = (detail: string) =>
    `error importer-rolled-back raised for in_acme: ${detail}. What to do: ${ALARMS["importer-rolled-back"].todo}`;
  expect(lines).toEqual([said("5 to 9"), said("20 to 30")]);
});

test("so many are kept, the others are said once", () => {
  const { lines, alarms } = started();
  for (let index = 0; index < 5000; index++)
    alarms.raise("link-down", { target: `p${index}`, detail: "down" });
  expect(alarms.list()).toHaveLength(4096);
  expect(lines.filter((line) => line.includes("more than 4096 alarms"))).toHaveLength(1);
});

const ROUTE: RouteReport = {
  direction: "out",
  tenant: "acme",
  origin: "berlin",
  policy: "orders",
  kind: "native",
  stream: "out_acme",
  subjects: ["acme.orders.>"],
  active: true,
  lag: 0,
  position: 7,
  lastEvent: null,
  lost: 0,
  why: null,
  view: null,
};
const LINK: LinkReport = {
  peer: "tokyo",
  direction: "dial",
  address: "127.0.0.1:7422",
  connected: true,
  verified: "yes",
  rttMs: 1,
  compression: "s2_fast",
  revoked: null,
  why: null,
  routes: [ROUTE],
};
const FACTS: SiteFacts = {
  links: [LINK],
  certificates: [],
  store: null,
  deadLetters: [],
  readers: [],
  refusing: [],
  logs: [],
  memory: { usedBytes: 1, limitBytes: 2 },
  server: null,
  failures: [],
  now: new Date(0),
};

async function watching(
  work: (see: (facts: Partial<SiteFacts>, laterMs: number) => Promise<string[]>) => Promise<void>,
) {
  const { alarms, names } = started();
  let now = 0;
  let facts = FACTS;
  await using watch = new AlarmWatch({
    alarms,
    facts: async () => facts,
    patience: { linkDownMs: 60_000, standsStillMs: 60_000 },
    horizon: { withinMs: 3_600_000, share: 0.2 },
    oldest: async () => null,
    log: () => {},
    clock: () => now,
  });
  await work(async (seen, laterMs) => {
    now += laterMs;
    facts = { ...FACTS, ...seen };
    await watch.look();
    return names();
  });
}

test("a tenant's log stands, only after a while and while events wait for it", async () => {
  await watching(async (see) => {
    const log = { tenant: "acme", stream: "in_acme", events: 3, position: 7 };
    expect(await see({ logs: [log] }, 0)).toEqual([]);
    expect(await see({ logs: [log] }, 61_000)).toEqual(["log-not-moving acme/in_acme"]);
    expect(await see({ logs: [{ ...log, events: 4 }] }, 1000)).toEqual(["log-not-moving acme/in_acme"]);
    expect(await see({ logs: [{ ...log, position: 8 }] }, 1000)).toEqual([]);
    expect(await see({ logs: [{ ...log, position: 8, events: 0 }] }, 61_000)).toEqual([]);
  });
});

test("a link is down, and a route stands, only after a while; both end at once", async () => {
  await watching(async (see) => {
    const down = { links: [{ ...LINK, connected: false, why: "cut" }] };
    expect(await see(down, 0)).toEqual([]);
    expect(await see(down, 59_000)).toEqual([]);
    expect(await see(down, 2000)).toEqual(["link-down tokyo"]);
    expect(await see({}, 1000)).toEqual([]);
    const waits = { links: [{ ...LINK, routes: [{ ...ROUTE, lag: 5 }] }] };
    expect(await see(waits, 0)).toEqual([]);
    expect(await see(waits, 61_000)).toEqual(["route-not-moving acme/orders/tokyo"]);
    expect(await see({ links: [{ ...LINK, routes: [{ ...ROUTE, lag: 5, position: 8 }] }] }, 1000)).toEqual(
      [],
    );
  });
});

test("what cannot be seen for a moment is not over", async () => {
  await watching(async (see) => {
    const lost = { links: [{ ...LINK, routes: [{ ...ROUTE, lost: 3 }] }] };
    expect(await see(lost, 0)).toEqual(["retention-lost acme/orders/tokyo"]);
    const blind = { links: null, deadLetters: null, server: "no answer" };
    await see(blind, 0);
    expect(await see(blind, 61_000)).toEqual(
      ["retention-lost acme/orders/tokyo", "server-down nats-server"].sort(),
    );
    expect(await see({}, 0)).toEqual([]);
  });
});

test("a view that does not run, a peer that is another, a certificate, a disk, dead letters", async () => {
  await watching(async (see) => {
    const view = { state: "stopped", lastError: "no room", deferral: null } as RouteReport["view"];
    const many = { tenant: "acme", bytes: 90, maxBytes: 100, last: 10 };
    const seen: Partial<SiteFacts> = {
      links: [
        { ...LINK, routes: [{ ...ROUTE, view }] },
        { ...LINK, peer: "austin", verified: "no", why: "another key", routes: [] },
      ],
      certificates: [
        {
          kind: "ca",
          peer: null,
          fingerprint: "ab".repeat(32),
          notAfter: new Date(1).toISOString(),
          problem: "soon",
        },
        {
          kind: "peer_ca",
          peer: "oslo",
          fingerprint: "cd".repeat(32),
          notAfter: new Date(-1).toISOString(),
          problem: "over",
        },
      ],
      store: { state: "low", freeBytes: 1, totalBytes: 100, usedBytes: 10, budgetBytes: 20 },
      memory: { usedBytes: 3, limitBytes: 2 },
      refusing: [{ tenant: "acme", stream: "out_acme", bytes: 95, maxBytes: 100 }],
      deadLetters: [many],
    };
    await see(seen, 0);
    expect(await see({ ...seen, deadLetters: [{ ...many, last: 120 }] }, 61_000)).toEqual([
      `certificate-expired ca of oslo ${"cd".repeat(6)}`,
      "dead-letters-full acme",
      "peer-not-proved austin",
      "view-standing-still acme/orders",
      "budget-nearly-full acme/out_acme",
      "budgets-exceed-disk store",
      `certificate-expiring ca ${"ab".repeat(6)}`,
      "dead-letters-growing acme",
      "memory-high sidecar",
      "store-low store",
    ]);
    expect(await see({ deadLetters: [{ ...many, bytes: 1, last: 120 }] }, 11 * 60_000)).toEqual([]);
  });
});

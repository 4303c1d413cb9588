/** Views spread over two sidecars of a site: whichever is stopped or killed, the other one goes on with its views, exactly. */
import { expect, test } from "bun:test";
import process from "node:process";
import { POSITION_HEADER, viewStream } from "../../src/model/names.ts";
import { faults, Load } from "../support/ledger.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { SecondMember } from "../support/second_member.ts";
import { waitFor } from "../support/wait_for.ts";

const TENANTS = ["acme", "globex"] as const;
type Tenant = (typeof TENANTS)[number];

const exported = (tenant: string, ...removed: readonly string[]) => ({
  name: "out",
  to: ["austin"],
  rules: [
    { subjects: [`${tenant}.orders.>`], redact: removed.map((path) => ({ path, with: "remove" as const })) },
  ],
});

/** Over one connection: one that is made while the server reads its configuration anew may hang for long. */
type Berlin = Awaited<ReturnType<MeshSite["mesh"]>>;

async function lastOf({ jsm }: Berlin, tenant: string): Promise<number> {
  return (await jsm.streams.info(viewStream(tenant, "out"))).state.last_seq;
}

/** Waits until the views of both tenants move. */
async function moving(mesh: Berlin, why: string): Promise<void> {
  const started = performance.now();
  await Promise.all(
    TENANTS.map(async (tenant) => {
      const before = await lastOf(mesh, tenant);
      await waitFor(async () => (await lastOf(mesh, tenant)) > before, {
        deadlineMs: 60_000,
        pollMs: 50,
        what: `the view of ${tenant} to go on after ${why}`,
      });
      process.stdout.write(`${why}: ${tenant} goes on after ${Math.round(performance.now() - started)} ms\n`);
    }),
  );
}

/** The position of each event that the view holds; it says how long the view stood still at most, by the server's clock. */
async function positions({ js }: Berlin, tenant: string): Promise<readonly number[]> {
  let [last, still] = [Number.POSITIVE_INFINITY, 0];
  const consumer = await js.consumers.get(viewStream(tenant, "out"), { headers_only: true });
  const all: number[] = [];
  for (let left = (await consumer.info()).num_pending; left > 0; ) {
    const batch = await consumer.fetch({ max_messages: Math.min(left, 5_000), expires: 5_000 });
    for await (const message of batch) {
      all.push(Number(message.headers?.get(POSITION_HEADER)));
      const at = message.info.timestampNanos / 1e6;
      still = Math.max(still, at - last);
      last = at;
      left--;
    }
  }
  process.stdout.write(`the view of ${tenant} stood still for ${Math.round(still)} ms at most\n`);
  return all;
}

interface Members {
  readonly items: readonly { readonly name: string; readonly views: readonly string[] }[];
}

/** The tenants whose views a member runs, as the API says. */
async function runs(get: () => Promise<Response>, member: string): Promise<readonly string[]> {
  const { items } = (await (await get()).json()) as Members;
  return (items.find(({ name }) => name === member)?.views ?? []).map((view) => view.split("/")[0] ?? "");
}

/** Waits until each of the two runs one tenant's view. @returns the tenant of the second */
async function spread(second: SecondMember): Promise<Tenant> {
  const get = () => second.get("/v1/members");
  return await waitFor(
    async () => {
      const [here, there] = [await runs(get, "a"), await runs(get, second.name)];
      const [tenant] = there;
      return here.length === 1 && there.length === 1 && here[0] !== tenant ? (tenant as Tenant) : null;
    },
    { deadlineMs: 60_000, pollMs: 200, what: "each sidecar to run one view" },
  );
}

test("views run at both sidecars, and go on exactly when the policy changes, and when either is stopped or killed", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      TENANTS.map((tenant) =>
        site === "berlin"
          ? { tenant, exports: [exported(tenant, "$.email")] }
          : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
      ),
  });
  await mesh.flowing();
  const berlin = mesh.site("berlin");
  await using second = await SecondMember.start(berlin);
  await using there = await berlin.mesh();
  const theirs = await spread(second);
  const body = (n: number) => ({ email: `p${n}@example.org`, phone: "1" });
  const loads = new Map<Tenant, Load>();
  for (const tenant of TENANTS) {
    const subject = () => `${tenant}.orders.x`;
    loads.set(tenant, new Load(await berlin.app(tenant), { subject, body, batch: 10 }));
  }
  await waitFor(() => [...loads.values()].every(({ count }) => count > 200), {
    what: "a load",
    deadlineMs: 60_000,
  });

  // A change of rules at the one that does not lead.
  const path = `/v1/tenants/${theirs}/exports/out`;
  await berlin.put(path, exported(theirs, "$.email", "$.phone"));
  const metrics = async () => await (await second.get("/metrics")).text();
  await waitFor(
    async () => {
      const route = (await berlin.links())
        .flatMap(({ routes }) => routes)
        .find((one) => one.tenant === theirs);
      return route?.view?.member === "b" && route.view.state === "running" && route.view.forwarded > 100;
    },
    { deadlineMs: 30_000, what: "the link to tell what the other sidecar has done" },
  );
  expect(await metrics()).toContain("leafmesh_member_views 1");
  await moving(there, "a change of rules");

  // One that stands still: its view is taken over, and when it goes on it writes nothing.
  process.kill(second.pid, "SIGSTOP");
  try {
    await moving(there, "SIGSTOP of the one that follows");
  } finally {
    process.kill(second.pid, "SIGCONT");
  }
  await waitFor(async () => (await second.log()).includes("has given the views of this one to others"), {
    what: "the one that stood still to see that others have its views",
    deadlineMs: 60_000,
  });
  await spread(second);
  await second.end("SIGKILL");
  await moving(there, "SIGKILL of the one that follows");
  await second.start();
  await spread(second);
  await berlin.end("SIGKILL");
  await moving(there, "SIGKILL of the one that leads");
  // What ran there has run on.
  expect(await second.log()).toMatch(/2 views go on, 1 of them where they are/);
  await berlin.start();
  await spread(second);
  // What the one that does not lead runs waits until another one leads and lets it go on.
  process.kill(second.pid, "SIGSTOP");
  try {
    await moving(there, "SIGSTOP of the one that leads");
  } finally {
    process.kill(second.pid, "SIGCONT");
  }
  await spread(second);
  await berlin.end("SIGTERM");
  await moving(there, "SIGTERM of the one that leads");

  for (const tenant of TENANTS) {
    const load = loads.get(tenant);
    if (load === undefined) throw new Error(`no load of ${tenant}`);
    await load.stop();
    const far = await mesh.site("austin").app(tenant);
    const found = await waitFor(
      async () => {
        const all = await readLog(far, tenant, `berlin.${tenant}.orders.>`);
        return all.length >= load.count ? all : null;
      },
      { deadlineMs: 60_000, what: `${load.count} events of ${tenant}` },
    );
    expect(found.length).toBe(load.count);
    expect(faults(found, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
    expect(await positions(there, tenant)).toEqual(
      [...load.acked.values()].sort((left, right) => left - right),
    );
    // The change of rules came between two events.
    const phones = found.map(({ body }) => body.phone !== undefined);
    const changed = phones.indexOf(false);
    if (tenant === theirs) expect(phones.slice(changed).includes(true)).toBe(false);
    else expect(changed).toBe(-1);
    expect(found.some(({ body }) => body.email !== undefined)).toBe(false);
  }
}, 300_000);

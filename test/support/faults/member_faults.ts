/** Peers that are revoked and taken back, and users that come and are revoked. */
import type { Peer } from "../../../src/model/schema/site.ts";
import type { TenantSettings } from "../../../src/model/schema/tenant.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { letIn } from "../let_in.ts";
import { waitFor } from "../wait_for.ts";
import { ask } from "./ask.ts";
import { between, type Fault, pause } from "./fault.ts";
import { SITES, TENANTS } from "./scenario.ts";

const WITHIN_MS = 120_000;

/** One site revokes another, whose events wait meanwhile, and takes its key back by force. */
const PEER_REVOKED: Fault = {
  name: "peer revoked and taken back",
  lane: "other",
  weight: 2,
  run: async (run) => {
    const { world, random, site, note } = run;
    const peer = random.pick(SITES.filter((one) => one !== site));
    const path = `/v1/peers/${peer}`;
    const document = (await ask(run, `tell of ${peer}`, { method: "GET", path })) as Peer;
    note(`${site}: ${peer} is to be revoked`);
    await ask(run, `revoke ${peer}`, { method: "POST", path: `${path}/revoke` });
    note(`${site}: ${peer} is revoked`);
    const routes = world.arrivals.filter(({ at, publisher }) => at === peer && publisher.origin === site);
    const since = world.history.nowMs();
    for (const route of routes) route.closed(since);
    await pause(between(random, 500, 5000));
    // What is read from now on may have crossed after the peer was taken back.
    for (const route of routes) route.opened();
    const again = { method: "PUT", path: `${path}?force=true`, body: document, anyRevision: true };
    await ask(run, `take ${peer} back`, again);
    note(`${site}: ${peer} is a peer again`);
  },
};

/** A user comes, connects, and is revoked: its connection ends, and no other one's. */
const USER_REVOKED: Fault = {
  name: "user revoked",
  lane: "other",
  weight: 1,
  run: async (run) => {
    const { world, random, site, note } = run;
    const tenant = random.pick(TENANTS);
    const path = `/v1/tenants/${tenant}`;
    const name = `guest${random.below(1000)}`;
    const key = createSigningKey();
    const settings = (await ask(run, `tell of ${tenant}`, { method: "GET", path })) as TenantSettings;
    const put = (what: string, users: TenantSettings["users"]) =>
      ask(run, what, { method: "PUT", path, body: { ...settings, users }, anyRevision: true });
    const users = settings.users ?? [];
    await put(`let ${name} in`, [...users, { name, key: key.publicKey, role: "subscriber" }]);
    note(`${site}: user ${name} of ${tenant} is let in`);
    const nc = await letIn(
      {
        servers: world.site(site).file.server?.listen ?? "",
        authenticator: key.authenticator,
        inboxPrefix: `_INBOX_.${name}`,
        reconnect: false,
      },
      { what: `${name} to connect at ${site}`, deadlineMs: WITHIN_MS },
    );
    nc.subscribe(`${tenant}.>`);
    await pause(between(random, 0, 2000));
    await put(`revoke ${name}`, users);
    note(`${site}: user ${name} of ${tenant} is revoked`);
    await waitFor(() => nc.isClosed(), { what: `the connection of ${name} to end`, deadlineMs: WITHIN_MS });
  },
};

export const MEMBER_FAULTS: readonly Fault[] = [PEER_REVOKED, USER_REVOKED];

/** Changes that come in the middle of everything: policies, tenants, keys. */
import { waitFor } from "../wait_for.ts";
import { between, type Fault, pause } from "./fault.ts";
import { TENANTS } from "./scenario.ts";

const CHANGED_WITHIN_MS = 90_000;

const POLICY_CHANGED: Fault = {
  name: "policy changed",
  lane: "other",
  weight: 6,
  run: async ({ world, random, site, note }) => {
    const tenant = random.pick(TENANTS);
    note(`${site}: v${world.version(site, tenant).applied + 1} of ${tenant}'s policy`);
    await world.nextPolicy(site, tenant, CHANGED_WITHIN_MS);
    note(`${site}: v${world.version(site, tenant).applied} of ${tenant}'s policy is stored`);
  },
};

/** A tenant that comes and goes: the reloads and the accounts must not disturb the others. */
const TENANT_CAME: Fault = {
  name: "tenant added and removed",
  lane: "other",
  weight: 2,
  run: async ({ world, random, site, note }) => {
    const name = `guest${random.below(1000)}`;
    const path = `/v1/tenants/${name}`;
    note(`${site}: tenant ${name} comes`);
    const call = async (method: string, body?: object) => {
      const headers: Record<string, string> =
        method === "PUT" ? { "if-none-match": "*" } : { "if-match": "*" };
      const signal = AbortSignal.timeout(5000);
      const response = await world.site(site).api(method, path, body, headers, signal);
      // A request that was cut off may have been carried out.
      if (response.ok || response.status === 412 || response.status === 404) return true;
      throw new Error(`${response.status} ${await response.text()}`);
    };
    await waitFor(() => call("PUT", {}), { what: `${name} to be added`, deadlineMs: CHANGED_WITHIN_MS });
    await pause(between(random, 0, 3000));
    await waitFor(() => call("DELETE"), { what: `${name} to be removed`, deadlineMs: CHANGED_WITHIN_MS });
    note(`${site}: tenant ${name} is gone`);
  },
};

const KEY_ROTATED: Fault = {
  name: "tenant key rotated",
  lane: "other",
  weight: 1,
  run: async ({ world, random, site, note }) => {
    const tenant = random.pick(TENANTS);
    note(`${site}: the pseudonym key of ${tenant} is rotated`);
    await waitFor(
      async () => {
        const path = `/v1/tenants/${tenant}/keys/pseudonym`;
        const response = await world.site(site).api("POST", path, undefined, {}, AbortSignal.timeout(5000));
        return response.ok || Promise.reject(new Error(`${response.status} ${await response.text()}`));
      },
      { what: `${site} to rotate the key of ${tenant}`, deadlineMs: CHANGED_WITHIN_MS },
    );
  },
};

export const CHANGE_FAULTS: readonly Fault[] = [POLICY_CHANGED, TENANT_CAME, KEY_ROTATED];

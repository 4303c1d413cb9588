/** Tokens in memory: the bootstrap token, one of each role, and those that are made. */
import type { ApiTokens } from "../../../routes/options.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { BOOTSTRAP, type Grant, type Principal, type TokenInfo } from "../../../src/model/principal.ts";

/** A token of each role, as `authorization` takes it: `the-viewer`; of the admins of tenants `the-acme-admin`. */
export const ROLE_TOKENS = {
  operator: "the-operator",
  viewer: "the-viewer",
  auditor: "the-auditor",
  acme: "the-acme-admin",
  globex: "the-globex-admin",
} as const;

export interface FakeTokens extends ApiTokens {
  authenticate(candidate: string): Grant | null;
  /** Ends what a token stands for. */
  end(candidate: string): void;
}

export function createFakeTokens(bootstrap: string): FakeTokens {
  const held = new Map<string, { readonly principal: Principal; readonly end: AbortController }>();
  const hold = (token: string, principal: Principal) =>
    held.set(token, { principal, end: new AbortController() });
  hold(bootstrap, BOOTSTRAP);
  for (const role of ["operator", "viewer", "auditor"] as const) {
    hold(ROLE_TOKENS[role], { name: `${role}-1`, type: "token", role });
  }
  for (const tenant of ["acme", "globex"] as const) {
    hold(ROLE_TOKENS[tenant], { name: `${tenant}-admin`, type: "token", role: "tenant-admin", tenant });
  }
  const made: TokenInfo[] = [];
  return {
    authenticate(candidate) {
      if (candidate === "the-expired") throw new LeafmeshError("unauthorized", "The token 'old' has expired");
      const found = held.get(candidate);
      return found === undefined ? null : { principal: found.principal, signal: found.end.signal };
    },
    end(candidate) {
      held.get(candidate)?.end.abort();
      held.delete(candidate);
    },
    list: () => made,
    async add({ name, role, tenant, ttlMs, createdBy }) {
      const info: TokenInfo = {
        id: made.length.toString(16).padStart(12, "0"),
        name,
        role,
        tenant: tenant ?? null,
        createdAt: "2026-01-02T03:04:05.000Z",
        createdBy,
        expiresAt: new Date(Date.UTC(2026, 0, 2) + ttlMs).toISOString(),
        lastUsed: null,
      };
      made.push(info);
      const token = `lmt_${info.id}_made`;
      hold(token, { name, type: "token", role, ...(tenant === undefined ? {} : { tenant }) });
      return { token, info };
    },
    async revoke(id) {
      const at = made.findIndex((one) => one.id === id);
      const [info] = at < 0 ? [] : made.splice(at, 1);
      if (info === undefined) throw new LeafmeshError("not_found", `There is no token '${id}'`);
      this.end(`lmt_${id}_made`);
      return info;
    },
    rotateBootstrap: async () => "lm_another",
  };
}

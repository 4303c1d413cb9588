/** What the demo asks of a site's API. Answers are checked: the demo is a client like any other. */
import { readFile } from "node:fs/promises";
import { z } from "zod";

const View = z.object({ redacted: z.number(), denied: z.number(), quarantined: z.number() });
const Route = z.object({
  direction: z.enum(["out", "in"]),
  tenant: z.string(),
  kind: z.string(),
  active: z.boolean(),
  lag: z.number(),
  why: z.string().nullable(),
  view: View.nullable(),
});
const Link = z.object({ peer: z.string(), connected: z.boolean(), routes: z.array(Route) });
export type Link = z.infer<typeof Link>;
const Links = z.object({ items: z.array(Link) });
const Plan = z.object({
  routes: z.array(z.object({ tenant: z.string(), policy: z.string(), kind: z.enum(["native", "view"]) })),
});
const Letter = z.object({
  sequence: z.number(),
  subject: z.string(),
  policy: z.string(),
  rule: z.string(),
  reason: z.string(),
  headers: z.record(z.string(), z.array(z.string())),
});
export type Letter = z.infer<typeof Letter>;
const Letters = z.object({ items: z.array(Letter), next: z.number().nullable() });

/** The API of one site. */
export class SiteApi {
  /** For example `http://127.0.0.1:7480`. */
  readonly url: string;
  readonly tokenFile: string;

  constructor(url: string, tokenFile: string) {
    this.url = url;
    this.tokenFile = tokenFile;
  }

  async links(signal: AbortSignal): Promise<readonly Link[]> {
    return Links.parse(await this.#get("/v1/links", signal)).items;
  }

  /** How each export runs, `<tenant>/<policy>` → kind. */
  async routeKinds(signal: AbortSignal): Promise<Record<string, "native" | "view">> {
    const { routes } = Plan.parse(await this.#get("/v1/plan", signal));
    return Object.fromEntries(routes.map(({ tenant, policy, kind }) => [`${tenant}/${policy}`, kind]));
  }

  /** All dead letters of a tenant. */
  async deadLetters(tenant: string, signal: AbortSignal): Promise<Letter[]> {
    const letters: Letter[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const page = Letters.parse(await this.#get(`/v1/tenants/${tenant}/dlq?after=${after}`, signal));
      letters.push(...page.items);
      after = page.next;
    }
    return letters;
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const token = (await readFile(this.tokenFile, "utf8")).trim();
    const response = await fetch(`${this.url}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    });
    if (!response.ok) throw new Error(`GET ${this.url}${path} answered ${response.status}`);
    return await response.json();
  }
}

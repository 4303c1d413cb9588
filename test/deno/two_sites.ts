/** Two linked sites with sidecars in this process, on Deno, for tests. */
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { SiteFile } from "../../src/model/schema/site.ts";
import { connectionOptions } from "../../src/nats/control_connection.ts";
import { createSigningKey, loadSiteKeys } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { type Sidecar, startSidecar } from "../../src/sidecar.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

type Tenant = NonNullable<SiteFile["tenants"]>[number];

/** What each site says of the tenant, beside its users. */
export interface TwoSitesOptions {
  readonly berlin: Tenant;
  readonly austin: Tenant;
}

/** Austin dials berlin. `app` opens a connection as an app of the tenant. */
export interface TwoSites extends AsyncDisposable {
  readonly berlin: Sidecar;
  readonly austin: Sidecar;
  app(site: Sidecar): Promise<NatsConnection>;
  /** Resolves when both routes take events. */
  flowing(): Promise<void>;
}

/** Starts a site with everything on free ports; what it logs as an error fails the caller. */
export async function startSite(folder: string, file: SiteFile, errors: string[] = []): Promise<Sidecar> {
  const anyPort = "127.0.0.1:0";
  return await startSidecar({
    base: folder,
    file: {
      data: "data",
      server: { listen: anyPort, leaf: anyPort, sync: "1s" },
      api: { listen: anyPort },
      ...file,
    },
    env: { PATH: Deno.env.get("PATH") },
    log: (level, part, message) => {
      if (level === "error") errors.push(`${file.site} ${part}: ${message}`);
    },
  });
}

export async function startTwoSites(options: TwoSitesOptions): Promise<TwoSites> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempFolder());
  const folderOf = (site: string) => join(folder.path, site);
  const keyOf = async (site: string) => (await loadSiteKeys(join(folderOf(site), "data"))).site.publicKey;
  const caOf = async (site: string) => (await SitePki.load(join(folderOf(site), "data"), { site })).caPem;
  const appKey = createSigningKey();
  const withUser = (tenant: Tenant) => [{ ...tenant, users: [{ name: "app", key: appKey.publicKey }] }];

  const berlin = stack.use(
    await startSite(folderOf("berlin"), {
      site: "berlin",
      peers: [{ name: "austin", key: await keyOf("austin"), ca: await caOf("austin") }],
      tenants: withUser(options.berlin),
    }),
  );
  const austin = stack.use(
    await startSite(folderOf("austin"), {
      site: "austin",
      peers: [
        {
          name: "berlin",
          key: await keyOf("berlin"),
          ca: await caOf("berlin"),
          dial: `tls://${berlin.leaf}`,
        },
      ],
      tenants: withUser(options.austin),
    }),
  );
  const connections = stack.adopt([] as NatsConnection[], async (open) => {
    await Promise.all(open.map((connection) => connection.close()));
  });
  const routesFlow = async (site: Sidecar) => {
    const routes = (await site.control.links()).flatMap((link) => link.routes);
    return routes.length === 2 && routes.every((route) => route.active);
  };

  const parts = stack.move();
  return {
    berlin,
    austin,
    app: async (site) => {
      const connection = await connect(connectionOptions(site.site, site.listen, appKey));
      connections.push(connection);
      return connection;
    },
    flowing: async () => {
      for (const site of [berlin, austin]) {
        await waitFor(() => routesFlow(site), { deadlineMs: 30_000, what: `the routes of ${site.site}` });
      }
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

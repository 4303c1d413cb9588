/** Where the API listens: on loopback as it is, elsewhere by TLS, or in clear when that is asked for at this start. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isTrustedUrl, jwksReader } from "../control/access/jwks.ts";
import { OidcTokens } from "../control/access/oidc.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { SiteFile } from "../model/schema/site.ts";
import { formatAddress, localAddress, parseAddress } from "../nats/addresses.ts";
import { readSecretFile } from "../nats/files.ts";
import { SitePki } from "../nats/pki/site_pki.ts";
import { type HttpServer, type ServeOptions, serve, type TlsFiles } from "../runtime/serve.ts";

const DEFAULT_API = "127.0.0.1:7480";
const DAY_MS = 86_400_000;
/** Of a certificate of the site's own CA, made at each start. */
const SELF_TTL_MS = 397 * DAY_MS;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i;

/** How the API is reached. */
export interface ApiAddress {
  readonly hostname: string;
  readonly port: number;
  /** Whether a request may name this host; absent: any. */
  readonly knowsHost?: (host: string) => boolean;
}

/**
 * The address that the site file names.
 * @param insecure listen in clear where others can listen, too: said at this start, never kept
 * @throws LeafmeshError `config_invalid` when it is not loopback, has no TLS, and is not asked for
 */
export function apiAddress(api: SiteFile["api"], insecure: boolean): ApiAddress {
  const { host: hostname, port } = parseAddress(api?.listen ?? DEFAULT_API);
  const loopback = LOOPBACK.test(hostname);
  if (!loopback && api?.tls === undefined && !insecure) {
    throw new LeafmeshError(
      "config_invalid",
      `The API would listen at ${formatAddress({ host: hostname, port })} in clear, and tokens with it: set api.tls, listen at 127.0.0.1, or start with --insecure-api`,
    );
  }
  const named = (api?.hosts ?? []).map((host) => host.toLowerCase());
  if (!loopback && named.length === 0) return { hostname, port };
  const own = hostname.toLowerCase();
  const knowsHost = (host: string) => LOOPBACK.test(host) || host === own || named.includes(host);
  return { hostname, port, knowsHost };
}

/** Where the certificate of the API is found. */
export interface ApiTlsPlace {
  readonly dataFolder: string;
  /** Folder that relative paths of the site file start from. */
  readonly base: string;
  /** The site's own CA, where it is open already. */
  readonly pki?: SitePki;
}

/** The certificate of the API; `null`: it is served in clear. @throws LeafmeshError `config_invalid`, `key_invalid` */
export async function loadApiTls(
  { site, api }: SiteFile,
  { dataFolder, base, pki: own }: ApiTlsPlace,
): Promise<TlsFiles | null> {
  const tls = api?.tls;
  if (tls === undefined) return null;
  if (tls === "self") {
    const pki = own ?? (await SitePki.load(dataFolder, { site }));
    const { host } = parseAddress(api?.listen ?? DEFAULT_API);
    const hosts = [host, ...(api?.hosts ?? [])].filter((one) => !/^(?:0\.0\.0\.0|::)$/.test(one));
    const { certPem, keyPem } = await pki.issueApi({ hosts, ttlMs: SELF_TTL_MS });
    return { cert: certPem, key: keyPem };
  }
  const cert = await readFile(resolve(base, tls.cert), "utf8").catch((error: unknown) => {
    throw new LeafmeshError("config_invalid", `api.tls.cert cannot be read: ${errorText(error)}`, {
      cause: error,
    });
  });
  const path = resolve(base, tls.key);
  const key = await readSecretFile(path);
  if (key === null) throw new LeafmeshError("config_invalid", `api.tls.key: there is no file ${path}`);
  return { cert, key: new TextDecoder().decode(key) };
}

/** The tokens of the issuer that the site file names; `null` without one. @throws LeafmeshError `config_invalid` */
export function oidcTokens(api: SiteFile["api"], base: string): OidcTokens | null {
  const settings = api?.oidc;
  if (settings === undefined) return null;
  const { issuer, jwks } = settings;
  const remote = jwks === undefined ? issuer : jwks;
  if (/^https?:/i.test(remote) && !isTrustedUrl(remote)) {
    throw new LeafmeshError(
      "config_invalid",
      `api.oidc: keys from ${remote} could be anybody's, expected https`,
    );
  }
  const source = jwks === undefined || /^https?:/i.test(jwks) ? jwks : resolve(base, jwks);
  return new OidcTokens({ settings, jwks: jwksReader(issuer, source), now: Date.now });
}

/** Listens. @returns the server and its URL @throws LeafmeshError `port_taken`, `config_invalid` */
export async function serveApi(
  { hostname, port }: ApiAddress,
  tls: TlsFiles | null,
  fetch: ServeOptions["fetch"],
): Promise<{ readonly server: HttpServer; readonly url: string }> {
  const serving = await serve({ hostname, port, fetch, ...(tls === null ? {} : { tls }) });
  if (serving.type !== "serving") {
    if (serving.type === "unusable" && tls !== null) {
      throw new LeafmeshError(
        "config_invalid",
        `The API cannot be served at ${serving.address} with api.tls: ${errorText(serving.cause)}`,
        { cause: serving.cause },
      );
    }
    const what =
      serving.type === "in_use" ? "is in use" : `cannot be listened at: ${errorText(serving.cause)}`;
    throw new LeafmeshError(
      "port_taken",
      `The API's address ${serving.address} ${what}: set api.listen to another one`,
    );
  }
  const { server } = serving;
  const address = localAddress(formatAddress({ host: hostname, port: server.port }));
  return { server, url: `${tls === null ? "http" : "https"}://${address}` };
}

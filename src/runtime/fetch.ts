/** `fetch` that trusts a CA of one's own: each runtime has another way to say so. */

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

interface DenoClient {
  createHttpClient(options: { readonly caCerts: readonly string[] }): unknown;
}

/** A `fetch` that trusts this CA. @param ca PEM */
export function fetchTrusting(ca: string): Fetch {
  if ("Deno" in globalThis) {
    const { Deno } = globalThis as unknown as { readonly Deno: DenoClient };
    const client = Deno.createHttpClient({ caCerts: [ca] });
    return (url, init) => fetch(url, { ...init, client } as RequestInit);
  }
  return (url, init) => fetch(url, { ...init, tls: { ca } } as RequestInit);
}

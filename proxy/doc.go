// Package proxy is the part that enforces: it stands between the client and
// the systems of a cluster, asks who the request comes from and whether it may
// be served, has the answer recorded, and only then forwards. It never decides,
// never words a refusal and never keeps state on disk; for those it has the
// interfaces of contract.go. Start with [New] and [Handler.ServeHTTP].
//
// # The steps of a request
//
//  1. The listener ([NewListener]) limits connections, completes TLS and reads
//     each HTTP/1 head strictly, so that no two parsers can disagree on where a
//     request ends.
//  2. The host is brought to one spelling and names the gate, a cluster, or
//     nothing (421).
//  3. Path and query are brought to one spelling ([canonicalPath]); what could
//     be read in two ways is refused. The reserved prefix /.ringfence/ is ours.
//  4. The route is chosen once, by whole path segments, and handed on.
//  5. Headers that name an identity or a forwarded address are deleted in every
//     spelling, before anything reads the request.
//  6. The subject is identified, its facts are looked up, the engine decides.
//  7. The decision is recorded durably. Without a durable record nothing is
//     forwarded (503).
//  8. Our cookies and tokens are taken off, our identity headers set, and the
//     request goes to a healthy upstream of the route.
//  9. The response passes under its obligations; the outcome is recorded.
//
// While it is served a request is registered, so that it can be cut when its
// session, assignment or policy no longer allows it ([Handler.Recheck]).
//
// # Headers that are always deleted from a request
//
// A header's name is compared in lower case with every character other than a
// letter or a digit read as "-", because upstreams that turn headers into
// variables read X_Forwarded_For and X.Forwarded.For as X-Forwarded-For.
//
//   - starting with x-ringfence-, x-remote-, x-forwarded-, x-auth-request-,
//     x-authenticated-, x-auth-user, x-auth-email, x-auth-groups, x-auth-name,
//     x-webauth-, x-original-, x-rewrite-, x-envoy-, x-pomerium-, x-authentik-,
//     x-goog-authenticated-, x-goog-iap-, x-amzn-oidc-, x-ms-client-principal,
//     x-vouch-, x-token-, x-ssl-client-, x-accel-, ssl-client-, cf-access-,
//     tailscale-, x-consumer-, x-credential-
//   - who: remote-user, remote-email, remote-name, remote-groups, remote-ident,
//     auth-user, auth-type, x-user, x-username, x-user-id, x-user-email,
//     x-user-name, x-user-groups, x-user-roles, x-email, x-groups, x-roles,
//     x-account, x-consumer-username, x-proxy-user, x-subject-token,
//     x-client-cert, x-client-dn, client-cert, client-cert-chain
//   - from where: forwarded, x-forwarded, x-real-ip, x-client-ip,
//     x-cluster-client-ip, client-ip, true-client-ip, cf-connecting-ip,
//     fastly-client-ip, x-originating-ip, remote-addr, remote-host
//   - for what: x-host, x-http-host-override, x-url-scheme, x-scheme,
//     x-script-name, script-name, path-info, front-end-https,
//     x-http-method-override, x-http-method, x-method-override, x-sendfile,
//     x-middleware-subrequest, proxy (which a CGI reads as HTTP_PROXY)
//   - every alias, written with another character than "-", of a header that
//     frames or routes a message or that a policy may read: Content_Length,
//     Transfer_Encoding, Cookie, Authorization, X_Ticket and so on
//   - every header that the request's own Connection header names
//
// Request trailers are never forwarded.
package proxy

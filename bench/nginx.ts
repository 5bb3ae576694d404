/** nginx as the yardstick: one worker, keep-alive to the upstream, no buffering of responses. */

/** The configuration; everything it writes is below `folder`. */
export function nginxConfiguration(options: { folder: string; port: number; upstream: string }): string {
  const { folder, port, upstream } = options;
  const { host, pathname } = new URL(upstream);
  return `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 100000000;
  upstream echo { server ${host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location ${pathname} {
      proxy_pass http://echo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 3600s;
    }
  }
}
`;
}

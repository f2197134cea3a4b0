#!/usr/bin/env python3
"""Replay http_cases.json against a gateway with a recording, STRICT upstream behind it.
usage: replay.py --gateway 127.0.0.1:8080 --upstream-port 9000 [--cases F] [--only RE] [--cls a,b] [--pid N] [--json out] [-v]
The gateway must: proxy everything to 127.0.0.1:<upstream-port>, answer /healthz 200 and /open* 503 locally.
Verdicts: STRICT (as expected) LAX (RFC-permitted alternative) FAIL.  Universal invariants (any breach = FAIL):
 U1 upstream stream parses under a strict RFC 9112 parser  U2 <= upstream_max complete requests  U3 no canary /smuggled request
 U4 gateway answers /healthz after the case  U5 nothing is sent upstream behind a complete request before its reply (no pipelining)"""
import argparse, json, re, socket, struct, sys, threading, time
def expand(s):
    out=[];i=0
    while True:
        j=s.find("{{rep:",i)
        if j<0: out.append(s[i:]); break
        out.append(s[i:j]); k=s.index(":",j+6); n=int(s[j+6:k]); e=s.index("}}",k); out.append(s[k+1:e]*n); i=e+2
    return "".join(out).encode("latin-1")
TOK=re.compile(rb"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"); VAL=re.compile(rb"^[\t\x20-\x7e\x80-\xff]*$")
class Bad(Exception): pass
def parse(buf):
    """strict; returns (req|None, rest). raises Bad."""
    e=buf.find(b"\r\n\r\n")
    if e<0:
        if re.search(rb"(?<!\r)\n",buf): raise Bad("bare LF in head")
        return None,buf
    head=buf[:e]; rest=buf[e+4:]
    if re.search(rb"(?<!\r)\n|\r(?!\n)",head) or b"\0" in head: raise Bad("bare CR/LF/NUL in head")
    ls=head.split(b"\r\n"); p=ls[0].split(b" ")
    if len(p)!=3 or not TOK.match(p[0]) or p[2] not in(b"HTTP/1.1",b"HTTP/1.0") or not re.match(rb"^[\x21-\x7e]+$",p[1]): raise Bad("request line %r"%ls[0][:80])
    hs=[]
    for l in ls[1:]:
        n,sep,v=l.partition(b":")
        if not sep or not TOK.match(n): raise Bad("field line %r"%l[:60])
        if not VAL.match(v): raise Bad("field value %r"%l[:60])
        hs.append((n.lower(),v.strip(b" \t")))
    cl=[v for n,v in hs if n==b"content-length"]; te=[v for n,v in hs if n==b"transfer-encoding"]; ho=[v for n,v in hs if n==b"host"]
    if p[2]==b"HTTP/1.1" and len(ho)!=1: raise Bad("host count %d"%len(ho))
    if te and cl: raise Bad("CL and TE")
    if te and p[2]==b"HTTP/1.0": raise Bad("TE in 1.0")
    if len(cl)>1 or (cl and not re.match(rb"^(0|[1-9][0-9]{0,18})$",cl[0])): raise Bad("CL %r"%cl)
    if te and (len(te)!=1 or te[0].lower()!=b"chunked"): raise Bad("TE %r"%te)
    body=b""
    if cl:
        n=int(cl[0])
        if len(rest)<n: return None,buf
        body,rest=rest[:n],rest[n:]
    elif te:
        while True:
            q=rest.find(b"\r\n")
            if q<0: return None,buf
            if not re.match(rb"^[0-9A-Fa-f]{1,16}$",rest[:q]): raise Bad("chunk line %r"%rest[:min(q,40)])
            n=int(rest[:q],16); rest=rest[q+2:]
            if n==0:
                while True:
                    q=rest.find(b"\r\n")
                    if q<0: return None,buf
                    l=rest[:q]; rest=rest[q+2:]
                    if not l: break
                    a,sep,v=l.partition(b":")
                    if not sep or not TOK.match(a): raise Bad("trailer %r"%l[:40])
                    if a.lower() in(b"transfer-encoding",b"content-length",b"host",b"authorization"): raise Bad("trailer field %r"%a)
                break
            if len(rest)<n+2: return None,buf
            if rest[n:n+2]!=b"\r\n": raise Bad("chunk end")
            body+=rest[:n]; rest=rest[n+2:]
    return dict(method=p[0],target=p[1],headers=hs,body=body,head=head),rest
class Upstream:
    def __init__(s,port):
        s.l=socket.socket(); s.l.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1); s.l.bind(("127.0.0.1",port)); s.l.listen(128); s.lock=threading.Lock(); s.reset({}); s.gen=0
        threading.Thread(target=s.run,daemon=True).start()
    def reset(s,case):
        with s.lock: s.case=case; s.reqs=[]; s.bad=[]; s.raw=b""; s.partial=0; s.conns=0; s.gen=getattr(s,"gen",0)+1
    def run(s):
        while True:
            c,_=s.l.accept(); threading.Thread(target=s.conn,args=(c,),daemon=True).start()
    def conn(s,c):
        buf=b""; c.settimeout(20); s.conns+=1; gen=s.gen; c.setsockopt(socket.IPPROTO_TCP,socket.TCP_NODELAY,1)
        try:
            while True:
                try: r,buf2=parse(buf)
                except Bad as e:
                    if gen!=s.gen: gen=s.gen; return
                    s.bad.append(str(e)); return
                if r is None and s.case.get("upstream_early") and b"\r\n\r\n" in buf: s.reply(c,None); return
                if r is None:
                    try: d=c.recv(65536)
                    except OSError: d=b""
                    if gen!=s.gen: gen=s.gen; buf=b""   # pooled connection carried over from the previous case
                    if not d:
                        if buf: s.partial+=1
                        return
                    buf+=d; s.raw+=d; continue
                buf=buf2
                if s.case.get("kind")!="upstream":
                    time.sleep(0.03); c.setblocking(False)
                    try:
                        x=c.recv(65536); buf+=x; s.raw+=x
                    except OSError: pass
                    c.settimeout(20)
                    if buf: s.bad.append("bytes behind a complete request before its reply: %r"%buf[:60])
                s.reqs.append(r)
                if not s.reply(c,r): return
        finally:
            try: c.close()
            except OSError: pass
    def reply(s,c,r):
        k=s.case
        if k.get("kind")!="upstream" or (r and b"/plain" in r["target"]):
            b=b"rec-%d"%len(s.reqs); h=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"%len(b)
            c.sendall(h if r and r["method"]==b"HEAD" else h+b); return True
        rep=expand(k["upstream_reply"]); th=k.get("upstream_then","close")
        try:
            if th.startswith("drip:"):
                for i in range(len(rep)): c.sendall(rep[i:i+1]); time.sleep(float(th[5:]))
                return True
            c.sendall(rep)
            if th=="reset": c.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack("ii",1,0)); return False
            if th=="close":
                try: c.shutdown(socket.SHUT_WR); time.sleep(0.05)
                except OSError: pass
                return False
            if th.startswith("close-after:"): time.sleep(float(th[12:])); return False
            if th.startswith("late:"):
                time.sleep(0.1); c.sendall(expand(th[5:])); return True
        except OSError: return False
        return True
def rd(c,first,idle,cap=4_000_000):
    out=b""; eof=False; c.settimeout(first); t=time.time()
    while len(out)<cap:
        try: d=c.recv(65536)
        except socket.timeout: break
        except OSError: eof=True; break
        if not d: eof=True; break
        out+=d; c.settimeout(idle)
    return out,eof
def statuses(out,nobody=False):
    """lenient client-side parse: list of (status, complete)"""
    res=[]; b=out
    while b:
        m=re.match(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r?\n",b)
        if not m: res.append((0,False)); break
        st=int(m.group(1)); e=b.find(b"\r\n\r\n")
        if e<0: res.append((st,False)); break
        hd=b[:e].lower(); body=b[e+4:]
        if 100<=st<200 and st!=101: b=body; continue
        if st in(204,304) or st==101: res.append((st,True)); b=body; continue
        x=re.search(rb"\ncontent-length: *(\d+)",hd)
        if b"\ntransfer-encoding: chunked" in hd:
            i=0; ok=False
            while True:
                q=body.find(b"\r\n",i)
                if q<0: break
                try: n=int(body[i:q].split(b";")[0],16)
                except ValueError: break
                i=q+2+n+2
                if n==0: ok=True; break
            res.append((st,ok)); b=body[i:] if ok else b""
        elif x:
            n=int(x.group(1)); res.append((st,len(body)>=n)); b=body[n:]
        else: res.append((st,True)); b=b""
    return res
def rss(pid):
    t=0
    try:
        for p in pid:
            for l in open("/proc/%d/status"%p):
                if l.startswith("VmRSS"): t+=int(l.split()[1])
    except OSError: return 0
    return t/1024
def connect(gw):
    c=socket.create_connection(gw,timeout=3); c.setsockopt(socket.IPPROTO_TCP,socket.TCP_NODELAY,1); return c
def send_all(c,data):
    c.settimeout(5)
    try: c.sendall(data); return True
    except OSError: return False
def alive(gw):
    try:
        c=connect(gw); c.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); o,_=rd(c,3,0.5); c.close(); return o.startswith(b"HTTP/1.1 200")
    except OSError: return False
def run(case,gw,up,pids,a):
    up.reset(case); m0=rss(pids); peak=[m0]; stop=[False]
    def watch():
        while not stop[0]: peak[0]=max(peak[0],rss(pids)); time.sleep(0.02)
    w=threading.Thread(target=watch,daemon=True)
    if "max_rss_mb" in case and pids: w.start()
    out=b"";eof=False;t0=time.time();follow=[]
    try: c=connect(gw)
    except OSError as e: return "FAIL","no connect",{}
    if case.get("kind")=="slow":
        c.settimeout(0.05); dead=False
        for s in case["steps"]:
            if dead: break
            if s[0]=="send": send_all(c,expand(s[1]))
            elif s[0]=="fin": c.shutdown(socket.SHUT_WR); o,eof=rd(c,3,0.5); out+=o; dead=True
            else:
                iv,n=(s[2],s[3]) if s[0]=="drip" else (1.0,s[1])
                for _ in range(min(n,a.slow_cap)):
                    if s[0]=="drip":
                        try: c.sendall(expand(s[1]))
                        except OSError: eof=True; dead=True; break
                    c.settimeout(iv)
                    try:
                        d=c.recv(65536)
                        if not d: eof=True; dead=True; break
                        out+=d
                        if statuses(out): dead=True; break
                    except socket.timeout: pass
                    except OSError: eof=True; dead=True; break
    else:
        for i in range(case.get("repeat",1)-1):
            try:
                d=connect(gw); send_all(d,expand(case["raw_request"]))
                if case.get("abort"): time.sleep(0.01); d.setsockopt(socket.SOL_SOCKET,socket.SO_LINGER,struct.pack("ii",1,0))
                else: rd(d,0.3,0.02)
                d.close()
            except OSError: pass
        send_all(c,expand(case["raw_request"]))
        if case.get("half_close"):
            try: c.shutdown(socket.SHUT_WR)
            except OSError: pass
        out,eof=rd(c,max(a.wait,case.get('max_seconds',0)),0.35)
        for i in range(case.get("followups",0)):
            time.sleep(case.get("followup_gap",0.12))
            try:
                d=connect(gw); raw=case.get("followup_raw") or case["raw_request"] if "followup_gap" in case else "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
                d.sendall(expand(raw)); o,_=rd(d,3,0.15); d.close()
            except OSError: o=b""
            out+=b"\r\n" if False else b""; follow.append(o)
    dt=time.time()-t0; c.close(); time.sleep(0.05); stop[0]=True
    st=statuses(out); nf=[x[0] for x in st]; first=st[0] if st else None
    allb=out+b"".join(follow); heads=[]
    reqs=list(up.reqs); n=len(reqs); info=dict(status=nf,upstream=n,partial=up.partial,bad=up.bad,eof=eof,secs=round(dt,1),rss=round(peak[0]-m0,1))
    # --- universal invariants
    exp=case["expect"].split("|"); allow=case.get("allow",[])
    umax=case.get("upstream_max",None)
    if umax is None: umax=1 if any(x.startswith("forward") or x in("no-admin",) for x in exp+allow) or case.get("kind")=="upstream" else 0
    if case.get("kind")=="upstream": umax=10**6
    fails=[]
    if up.bad and not case.get("kind")=="upstream": fails.append("U1 "+up.bad[0])
    if n>umax: fails.append("U2 %d upstream requests"%n)
    if not case.get("canary_ok") and any(b"/smuggled" in r["target"] for r in reqs): fails.append("U3 canary")
    if case.get("kind")!="admin" and not alive(gw): time.sleep(1); fails.append("U4 gateway not answering") if not alive(gw) else None
    up_heads="\n".join(r["head"].decode("latin-1") for r in reqs)
    for p in case.get("upstream_forbid",[]):
        if re.search(p,(up_heads if p.startswith("(?") else up.raw.decode("latin-1")).replace("\r\n","\n")): fails.append("forbidden upstream "+p)
    if n:
        for p in case.get("upstream_require",[]):
            if not re.search(p,up_heads.replace("\r\n","\n")): fails.append("missing upstream "+p)
    for p in case.get("client_require",[]):
        if not re.search(p.encode("latin-1"),allb): fails.append("missing at client "+p)
    for p in case.get("client_forbid",[]):
        if re.search(p.encode("latin-1"),allb): fails.append("forbidden at client "+p)
    if case.get("followup_status"):
        fs=[(statuses(o) or [(0,0)])[0][0] for o in follow]; info["follow"]={str(x):fs.count(x) for x in set(fs)}
        if any(x not in case["followup_status"] for x in fs): fails.append("followup statuses %s"%info["follow"])
    if case.get("max_rss_mb") and pids and peak[0]-m0>case["max_rss_mb"]: fails.append("rss +%.0f MB"%(peak[0]-m0))
    if case.get("max_seconds") and dt>case["max_seconds"]+1: fails.append("%.0f s > %s s"%(dt,case["max_seconds"]))
    if case.get("acl"):
        from urllib.parse import unquote; import posixpath
        for r in reqs:
            t=r["target"].decode("latin-1").split("?")[0].replace("\\","/"); t=unquote(unquote(t)).replace("\\","/").replace("..;","..")
            if posixpath.normpath(re.sub("/+","/",t)).startswith("/admin"): info["reaches_admin"]=r["target"].decode("latin-1")
    if a.acl and info.get('reaches_admin'): fails.append('ACL bypass: '+info['reaches_admin'])
    # --- outcome
    def match(x):
        if re.fullmatch(r"\d{3}",x): return bool(first) and first[0]==int(x)
        if x=="close": return not st and eof
        if x=="hang": return not st and not eof
        if x=="forwarded-normalized": return n>=1 and bool(first) and first[0]==200
        if x=="aborted": return n==0
        if x=="forwarded-aborted": return n==0 and up.partial>0
        if x=="any": return True
        if x=="no-admin": return not info.get("reaches_admin")
        if x=="truncated": return bool(first) and not first[1] and eof
        return False
    if case.get("must_close") and first and 400<=first[0]<500 and not eof: fails.append("connection kept open after %d"%first[0])
    if fails: return "FAIL","; ".join(fails),info
    if any(match(x) for x in exp): return "STRICT","",info
    if any(match(x) for x in allow): return "LAX","",info
    return "FAIL","outcome %s (want %s allow %s)"%(nf or ("closed" if eof else "hang"),case["expect"],allow),info
def main():
    p=argparse.ArgumentParser(); p.add_argument("--gateway",default="127.0.0.1:8080"); p.add_argument("--upstream-port",type=int,default=9000); p.add_argument("--cases",default="http.json"); p.add_argument("--only"); p.add_argument("--cls"); p.add_argument("--skip-cls",default=""); p.add_argument("--pid",default=""); p.add_argument("--json"); p.add_argument("--admin"); p.add_argument("--acl",action="store_true",help="gateway denies /admin and allows the rest: reaching /admin is a FAIL"); p.add_argument("--admin-path",default="/api/v1/breakers"); p.add_argument("--admin-mutate",default="/api/v1/breakers/x/reset"); p.add_argument("--admin-token",default="test-token"); p.add_argument("--wait",type=float,default=4.0); p.add_argument("--slow-cap",type=int,default=120); p.add_argument("-v",action="store_true")
    a=p.parse_args(); h,pt=a.gateway.rsplit(":",1); gw=(h,int(pt)); pids=[int(x) for x in a.pid.split(",") if x]
    up=Upstream(a.upstream_port); cases=json.load(open(a.cases)); cases=cases["cases"] if isinstance(cases,dict) else cases; res=[]; cnt={}
    for k in cases:
        if k.get("kind")=="admin":
            if not a.admin: continue
            for t,v in (("{{A}}",a.admin_path),("{{M}}",a.admin_mutate),("{{T}}",a.admin_token)): k["raw_request"]=k["raw_request"].replace(t,v)
        if a.only and not re.search(a.only,k["name"]): continue
        if a.cls and k["cls"] not in a.cls.split(","): continue
        if k["cls"] in a.skip_cls.split(","): continue
        v,why,info=run(k,(a.admin.rsplit(":",1)[0],int(a.admin.rsplit(":",1)[1])) if k.get("kind")=="admin" else gw,up,pids,a); cnt[v]=cnt.get(v,0)+1; res.append(dict(name=k["name"],cls=k["cls"],verdict=v,why=why,info=info,soft=bool(k.get("informational") or k.get("needs_policy"))))
        if a.v or v=="FAIL": print("%-6s %-12s %-34s %s %s"%(v,k["cls"],k["name"],why,json.dumps(info) if a.v else ""),flush=True)
    print("TOTAL",cnt)
    if a.json: json.dump(res,open(a.json,"w"),indent=1)
if __name__=="__main__": main()

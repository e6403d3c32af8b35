%% A backend in Erlang/OTP 24 or later.  It answers every client with one line:
%%
%%	escript backend.erl /tmp/app.sock
%%	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
-mode(compile).

main([Path]) ->
    file:delete(Path),
    {ok, Listener} = socket:open(local, stream),
    ok = socket:bind(Listener, #{family => local, path => Path}),
    ok = socket:listen(Listener, 128),
    accept(Listener).

accept(Listener) ->
    case socket:accept(Listener) of
        {ok, Conn} ->
            spawn(fun() -> take(Conn) end);
        {error, Reason} ->
            say(atom_to_list(Reason)),
            receive after 100 -> ok end
    end,
    accept(Listener).

take(Conn) ->
    Received = socket:recvmsg(Conn, 1, 64),
    socket:close(Conn),
    case Received of
        {ok, #{ctrl := [#{type := rights, data := <<Fd:32/native>>}]}} ->
            serve(client(Fd));
        {ok, #{iov := [<<_>>]}} ->      % no descriptor was free in here
            say("a client was lost");
        _ ->                            % a probe: the end without a message
            ok
    end.

%% socket:open() copies the descriptor, or never closes it.  What closes the
%% first one is inside OTP, and worked with 25.
client(Fd) ->
    Opened = socket:open(Fd),
    {ok, File} = prim_file:file_desc_to_ref(Fd, [read]),
    ok = prim_file:close(File),
    Opened.

serve({error, Reason}) ->
    say(atom_to_list(Reason));
serve({ok, Client}) ->
    socket:send(Client, "Hello from Erlang.\n"),        % the body alone
    socket:shutdown(Client, write),                     % its end
    unread(Client, erlang:monotonic_time(second) + 3),
    socket:close(Client).

unread(Client, Last) ->                                 % what nobody has read
    case socket:recv(Client, 0, 2000) of
        {ok, _} ->
            erlang:monotonic_time(second) < Last andalso unread(Client, Last);
        {error, _} ->
            ok
    end.

%% io:format() would load a module, for which there may be no descriptor, as
%% timer:sleep() would.
say(Text) ->
    io:put_chars(standard_error, [Text, $\n]).

# A backend in Ruby.  It answers every client with one line:
#
#	ruby backend.rb /tmp/app.sock
#	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
require 'fileutils'
require 'socket'

FileUtils.rm_f(ARGV[0])
listener = UNIXServer.new(ARGV[0])
listener.listen(128)
loop do
  Thread.new(listener.accept) do |conn|
    byte, _, _, *controls = conn.recvmsg(1, scm_rights: true)
    conn.close
    # A Socket, which has no buffer.  No byte either: a probe.
    client, = controls.flat_map(&:unix_rights)
    warn 'a client was lost' unless client || byte.to_s.empty?
    next unless client
    client.write("Hello from Ruby.\n")          # the body alone
    client.shutdown(Socket::SHUT_WR)            # its end
    last = Time.now + 4                         # what nobody has read
    nil while Time.now < last && IO.select([client], nil, nil, 2) &&
              !client.recv(4096).to_s.empty?
  rescue SystemCallError, IOError               # it has gone
  ensure
    [conn, client].compact.each(&:close)
  end
rescue Errno::EMFILE            # until some have gone
  sleep 0.1
end
